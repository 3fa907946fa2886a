#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "massact/base/units.h"
#include "massact/report/eval_text.h"
#include "massact/report/explain_report.h"
#include "massact/report/image_text.h"
#include "massact/report/numbers.h"
#include "massact/report/table.h"

namespace massact {
namespace {

constexpr std::size_t kShownFindings = 6;
constexpr std::size_t kShownNeurons = 3;
constexpr std::size_t kShownHeads = 3;
constexpr double kShownShare = 0.02;

std::string join_words(const std::vector<std::string>& words, std::string_view last = " and ") {
  std::string out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) out += i + 1 == words.size() ? last : std::string_view(", ");
    out += words[i];
  }
  return out;
}

// One step: a title and paragraphs.
class Page {
 public:
  explicit Page(const TextStyle& style) : style_(style) {}
  void title(std::string_view text) { out_ += "\n" + wrap(text, style_) + "\n"; }
  void paragraph(const std::string& text) { out_ += wrap(text, style_) + "\n"; }
  void gap() { out_ += "\n"; }
  void lines(const std::string& text) { out_ += text; }
  void table(const TableRows& rows) { out_ += table_text(rows, style_); }
  std::string take() { return std::move(out_); }
  const TextStyle& style() const { return style_; }
  std::string times() const { return style_.utf8 ? "×" : "x"; }
  std::string safe(std::string_view text) const { return printable(text, style_); }

 private:
  TextStyle style_;
  std::string out_;
};

void add_heading(const ExplainResult& result, Page& page) {
  const ScanFacts& facts = result.facts;
  const std::string read =
      facts.images ? fmt::format("{} x {} tokens of images ({})", facts.sequences, facts.seq_len,
                                 page.safe(facts.text))
                   : fmt::format("{} x {} tokens of {}, BOS {}", facts.sequences, facts.seq_len,
                                 page.safe(facts.text), facts.bos ? "yes" : "no");
  page.paragraph(fmt::format(
      "{} ({}, {} layers, width {}, {} heads in {} groups of keys), {}, {}, {}",
      page.safe(facts.model), facts.family, facts.layers, facts.width, result.config.heads,
      result.config.kv_heads, read, facts.precision, format_seconds(facts.seconds)));
  if (facts.images) page.lines(left_out_text(*facts.images, page.style()));
}

void add_found(const ExplainResult& result, Page& page) {
  if (!result.label) {
    page.paragraph(
        "Nothing to explain: there is no value that stands out. The figures of attention "
        "below hold all the same.");
    return;
  }
  if (*result.label == Label::massive) return;
  page.paragraph(fmt::format(
      "No massive activation was found by the rule {}. What is explained are {} values ({}): read "
      "everything below as about those.",
      result.asked_rule.to_string(), *result.label == Label::large ? "large" : "the largest",
      name_of(*result.label)));
}

std::string neurons_in_words(const ExplainMlp& split, bool gated, Page& page) {
  std::vector<std::string> parts;
  double share = 0;
  for (const ExplainNeuron& neuron : split.top) {
    if (parts.size() == kShownNeurons || std::abs(neuron.share) < kShownShare) break;
    share += neuron.share;
    std::string text = fmt::format("neuron {} gives {} ({} {} weight {}; gate {}", neuron.neuron,
                                   signed_number(neuron.contribution), number(neuron.value),
                                   page.times(), number(neuron.weight), number(neuron.gate));
    if (neuron.up) text += fmt::format(", up {}", number(*neuron.up));
    text += ")";
    if (!neuron.gate_inputs.empty() && parts.empty()) {
      const ExplainInput& input = neuron.gate_inputs.front();
      text += fmt::format(", whose {} hears dimension {} most ({})", gated ? "gate" : "input",
                          input.dimension, signed_number(input.value * input.weight));
    }
    parts.push_back(std::move(text));
  }
  if (parts.empty()) return "No neuron stands out of the MLP's write.";
  return fmt::format("Of the MLP's write, {}: {} of it. All neurons sum to it within {}.",
                     join_words(parts), percent(share), number(split.closure));
}

std::string heads_in_words(const ExplainHeads& split, Page& page) {
  std::vector<std::string> parts;
  for (const ExplainHead& head : split.list) {
    if (parts.size() == kShownHeads || std::abs(head.share) < kShownShare) break;
    std::string text = fmt::format("head {} (KV {}) {}", head.head, head.kv_head,
                                   signed_number(head.contribution));
    if (!head.top_sources.empty()) {
      const ExplainTopSource& source = head.top_sources.front();
      text += fmt::format(", most from \"{}\" at position {}", page.safe(source.token),
                          source.position);
    }
    parts.push_back(std::move(text));
  }
  if (parts.empty()) return "No head stands out of attention's write.";
  return fmt::format(
      "Of attention's write: {}; heads sum to it within {}, source tokens to heads "
      "within {}.",
      join_words(parts), number(split.closure), number(split.source_closure));
}

// Splits of parts that hardly wrote are left to explain.json.
std::string write_in_words(const ExplainWrite& write, std::string_view verb, bool gated,
                           Page& page) {
  const double all = std::abs(write.attention) + std::abs(write.mlp);
  std::string text = fmt::format(
      "The block of layer {} {} it (blocks.{}.hook_resid_post): {} before, attention {}, MLP {}, "
      "{} after; the sum closes within {}.",
      write.layer, verb, write.layer - 1, signed_number(write.before),
      signed_number(write.attention), signed_number(write.mlp), signed_number(write.after),
      number(write.closure));
  if (write.mlp_split && std::abs(write.mlp) > kShownShare * all) {
    text += " " + neurons_in_words(*write.mlp_split, gated, page);
  } else if (!write.mlp_reason.empty() && std::abs(write.mlp) > kShownShare * all) {
    text += " The MLP is not split: " + write.mlp_reason + ".";
  }
  if (write.heads_split && std::abs(write.attention) > kShownShare * all) {
    text += " " + heads_in_words(*write.heads_split, page);
  }
  return text;
}

void add_findings(const ExplainResult& result, Page& page) {
  if (result.findings.empty()) return;
  page.title("1. Birth and death");
  std::size_t shown = 0;
  for (const ExplainFinding& f : result.findings) {
    if (shown++ == kShownFindings) break;
    std::string text = fmt::format(
        "Finding {}: dimension {} of {} tokens (\"{}\"), {} from layer {} to {}, mean {} at layer "
        "{}, {} {} median; {} followed.",
        f.number, f.finding.dimension, f.finding.position_class, page.safe(f.finding.token),
        name_of(f.finding.label), f.finding.first_layer, f.finding.last_layer,
        signed_number(f.finding.mean), f.finding.peak_layer, number(f.finding.ratio), page.times(),
        f.traced.size());
    if (f.traced.empty()) {
      page.paragraph(
          text +
          fmt::format(" Its tokens lie deep in the text: --finding {} follows it.", f.number));
      page.gap();
      continue;
    }
    if (f.birth) {
      text += " " + write_in_words(*f.birth, "writes", result.config.gated_mlp, page);
    } else {
      text += " It comes with the embedding.";
    }
    if (f.death) {
      text += " " + write_in_words(*f.death, "removes", result.config.gated_mlp, page);
    } else {
      text += fmt::format(" No block removes it: {} is left behind the last one.",
                          f.layers.empty() ? "it" : signed_number(f.layers.back().value));
    }
    page.paragraph(text);
    page.gap();
  }
  if (result.findings.size() > kShownFindings) {
    page.paragraph(fmt::format("and {} more (all are in the report: --out, --json)",
                               result.findings.size() - kShownFindings));
  }
}

void add_weights(const ExplainResult& result, Page& page) {
  std::vector<std::string> spikes;
  const SuperWeight* largest = nullptr;
  for (const SuperWeight& w : result.super_weights) {
    if (largest == nullptr || std::abs(w.output) > std::abs(largest->output)) largest = &w;
    if (!w.spike) continue;
    spikes.push_back(fmt::format("{}[{}, {}] = {} (input {}, output {})", w.weight, w.row, w.column,
                                 number(w.value), number(w.input), number(w.output)));
  }
  if (largest == nullptr) return;
  std::string text;
  if (spikes.empty()) {
    text = fmt::format(
        "Super weights: no down projection has input and output beyond {} (largest output {} at "
        "layer {}, mlp.hook_post {}).",
        number(result.spike), number(largest->output), largest->layer, number(largest->input));
  } else {
    text = fmt::format("Super weights (input mlp.hook_post and output hook_mlp_out beyond {}): {}.",
                       number(result.spike), join_words(spikes));
  }
  if (!result.massive_weights.empty()) {
    std::vector<std::string> rows;
    for (const MassiveWeight& w : result.massive_weights) {
      rows.push_back(fmt::format("neuron {} of layer {}", w.neuron, w.layer));
    }
    rows.resize(std::min<std::size_t>(rows.size(), 8));
    text += fmt::format(" Massive weights are the rows of {} in {}.", join_words(rows),
                        result.massive_weights.front().weights.size() > 1
                            ? "the gate and up projections"
                            : "the MLP's input projection");
  }
  page.paragraph(text);
}

const ExplainPath* path_at(const ExplainResult& result, int layer, std::string_view group) {
  for (const ExplainPath& path : result.trajectory) {
    if (path.layer == layer && path.group == group) return &path;
  }
  return nullptr;
}

std::string stage_name(std::string_view site) {
  return std::string(site.substr(site.find('.', site.find('.') + 1) + 1));
}

// The layer with most massive tokens to look at: the first block that reads them.
int reading_layer(const ExplainResult& result) {
  for (const BiasLayer& layer : result.bias) {
    if (layer.massive_tokens > 0) return layer.layer;
  }
  return 0;
}

std::vector<std::string> path_cells(const ExplainPoint& point) {
  std::vector<std::string> cells = {number(point.norm)};
  for (const double share : point.top) cells.push_back(percent(share));
  cells.push_back(point.variance ? number(*point.variance) : "");
  return cells;
}

// Both groups side by side, or on a narrow terminal under each other.
void add_path_tables(const ExplainPath& massive, const ExplainPath& rest, Page& page) {
  const std::vector<std::string> heading = {"site", "norm", "top 1", "4", "16", "variance"};
  TableRows left = {heading};
  TableRows right = {heading};
  TableRows both = {heading};
  both[0].insert(both[0].end(), {"others: norm", "top 1", "4", "16", "variance"});
  for (std::size_t i = 0; i < std::min(massive.points.size(), rest.points.size()); ++i) {
    const std::string site = stage_name(massive.points[i].site);
    for (TableRows* rows : {&left, &right, &both}) rows->push_back({site});
    const auto add = [](TableRows& rows, const std::vector<std::string>& cells) {
      rows.back().insert(rows.back().end(), cells.begin(), cells.end());
    };
    add(left, path_cells(massive.points[i]));
    add(right, path_cells(rest.points[i]));
    add(both, path_cells(massive.points[i]));
    add(both, path_cells(rest.points[i]));
  }
  if (table_width(both) <= page.style().width) return page.table(both);
  page.paragraph("The massive tokens:");
  page.table(left);
  page.gap();
  page.paragraph("The others:");
  page.table(right);
}

void add_path(const ExplainResult& result, Page& page) {
  const int layer = reading_layer(result);
  const ExplainPath* massive = path_at(result, layer, "massive");
  const ExplainPath* rest = path_at(result, layer, "rest");
  if (massive == nullptr || rest == nullptr) return;
  page.title("2. What the norm makes of them");
  page.paragraph(fmt::format(
      "In the block of layer {}, the first that reads them, {} massive and {} other tokens: mean "
      "norm; share of the energy in the largest 1, 4, 16 dimensions; variance over tokens and "
      "sequences, relative to the energy (0: always the same vector).",
      layer, massive->tokens, rest->tokens));
  add_path_tables(*massive, *rest, page);
}

std::string probability_of(const std::vector<ClassSink>& classes, std::string_view group) {
  for (const ClassSink& sink : classes) {
    if (sink.group == group) return percent(sink.probability);
  }
  return "";
}

const ClassSink* class_of(const HeadSink& head, std::string_view group) {
  for (const ClassSink& sink : head.classes) {
    if (sink.group == group) return &sink;
  }
  return nullptr;
}

// The heads that give most to `group`, by KV head.
std::string strongest_heads(const ExplainResult& result, std::string_view group) {
  struct Entry {
    int layer;
    const HeadSink* head;
    const ClassSink* sink;
  };
  std::vector<Entry> entries;
  for (const SinkLayer& layer : result.sinks) {
    for (const HeadSink& head : layer.heads) {
      const ClassSink* sink = class_of(head, group);
      if (sink != nullptr) entries.push_back({layer.layer, &head, sink});
    }
  }
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return a.sink->probability > b.sink->probability;
  });
  entries.resize(std::min(entries.size(), kShownHeads));
  std::vector<std::string> parts;
  for (const Entry& entry : entries) {
    parts.push_back(fmt::format(
        "layer {} head {} (KV {}) {}{}", entry.layer, entry.head->head, entry.head->kv_head,
        percent(entry.sink->probability),
        entry.sink->logit ? fmt::format(", mean logit {}", signed_number(*entry.sink->logit))
                          : ""));
  }
  return join_words(parts);
}

// What attention goes to, beside tokens as such.
struct MainGroup {
  std::string_view name, in_words;
};

MainGroup main_group(const ExplainResult& result) {
  if (result.config.has_slot() && !result.config.vision.has_windows()) {
    return {"slot", "the slot (k', v')"};
  }
  if (!result.facts.images) return {"start", "the start token"};
  if (result.facts.images->registers > 0) return {"register", "the registers"};
  if (result.facts.images->class_tokens > 0) return {"cls", "the class token"};
  return {"massive", "the tokens that are explained"};
}

void add_sinks(const ExplainResult& result, Page& page) {
  page.title("3. Where attention goes");
  const bool slot = result.config.has_slot();
  if (!result.sink_metric.empty()) {
    page.paragraph(fmt::format(
        "Sink metric (epsilon {}, T {}): in {:.1f} % of ({}, layer, head) the queries give "
        "the first token more than epsilon on average{}.",
        result.epsilon, result.sink_length, result.sink_metric.front(),
        result.facts.images ? "image" : "sequence",
        result.sink_metric.size() > 1
            ? fmt::format("; the second token: {:.1f} %", result.sink_metric[1])
            : ""));
  }
  if (result.before && result.after) {
    page.paragraph(fmt::format(
        "Up to layer {}, where the explained values appear, their position classes get {} of the "
        "attention and {:.1f} % of the heads are sinks; in the layers behind it {} and {:.1f} %.",
        *result.appearance, percent(result.before->massive_class_probability), result.before->sink,
        percent(result.after->massive_class_probability), result.after->sink));
  }
  const MainGroup most = main_group(result);
  page.paragraph(fmt::format("Most to {}: {}.", most.in_words, strongest_heads(result, most.name)));
  page.paragraph(
      "Mean probability (attn.hook_pattern) that a query gives to all tokens of a class, "
      "over heads:");
  TableRows rows = {{"layer", "sinks"}};
  const std::vector<const char*> groups =
      result.facts.images ? std::vector<const char*>{"cls", "register", "patch", "massive"}
                          : std::vector<const char*>{"start", "first_delimiter", "delimiter",
                                                     "weak",  "other",           "massive"};
  for (const char* name : groups) rows.front().emplace_back(name);
  if (slot) rows.front().emplace_back("slot");
  for (const char* name : {"first 4", "first 8", "entropy"}) rows.front().emplace_back(name);
  for (const SinkLayer& layer : result.sinks) {
    std::vector<std::string> row = {fmt::format("{}", layer.layer),
                                    fmt::format("{:.0f} %", layer.sink)};
    for (std::size_t i = 2; i < rows.front().size() - 3; ++i) {
      row.push_back(probability_of(layer.classes, rows.front()[i]));
    }
    row.push_back(percent(layer.first[1]));
    row.push_back(percent(layer.first[2]));
    row.push_back(layer.entropy ? number(*layer.entropy) : "");
    rows.push_back(std::move(row));
  }
  page.table(rows);
}

void add_bias(const ExplainResult& result, Page& page) {
  const bool slot = result.config.has_slot();
  const bool any = std::any_of(result.bias.begin(), result.bias.end(),
                               [](const BiasLayer& layer) { return layer.share.has_value(); });
  if (!any && !slot) return;
  page.title("4. The implicit bias");
  double closure = 0;
  for (const BiasLayer& layer : result.bias) {
    for (const BiasHead& head : layer.heads) closure = std::max(closure, head.closure);
  }
  page.paragraph(fmt::format(
      "Each head's output (attn.hook_z) = sum over massive tokens C{} + the rest, which closes "
      "within {}. Of queries outside C that see C: the first term's share of the norms, its cosine "
      "to its own mean over the queries, its variance over sequences (0: a constant); and |mean "
      "first term|{} / |z|{}, how much of attention's output is a constant.",
      slot ? " + slot" : "", number(closure), page.style().utf8 ? "²" : "^2",
      page.style().utf8 ? "²" : "^2"));
  TableRows rows = {{"layer", "|C|", "share", "cosine", "variance", "constant"}};
  if (slot) rows.front().emplace_back("slot's share");
  for (const BiasLayer& layer : result.bias) {
    double cosine = 0, variance = 0, cosines = 0, variances = 0;
    for (const BiasHead& head : layer.heads) {
      cosine += head.cosine.value_or(0.0);
      cosines += head.cosine ? 1 : 0;
      variance += head.variance.value_or(0.0);
      variances += head.variance ? 1 : 0;
    }
    std::vector<std::string> row = {fmt::format("{}", layer.layer),
                                    number(layer.massive_tokens),
                                    layer.share ? percent(*layer.share) : "",
                                    cosines > 0 ? fmt::format("{:.4f}", cosine / cosines) : "",
                                    variances > 0 ? number(variance / variances) : "",
                                    layer.constant_share ? percent(*layer.constant_share) : ""};
    if (slot) row.push_back(layer.slot_share ? percent(*layer.slot_share) : "");
    rows.push_back(std::move(row));
  }
  page.table(rows);
}

void add_replacement(const ExplainResult& result, Page& page) {
  if (!result.replacement) return;
  const Replacement& r = *result.replacement;
  page.title("5. Is the constant all there is to it?");
  page.paragraph(fmt::format(
      "In {} layers the sum over massive tokens became its mean over the queries of the first {} "
      "sequences, per head; measured on the other {} (ppl hf, seqlen {}, BOS {}).",
      r.layers.size(), r.calibration_sequences, r.evaluation_sequences, r.seq_len,
      result.facts.bos ? "yes" : "no"));
  TableRows rows = {{"variant", "perplexity", "loss change", "mean KL", "max KL", "top-1 kept"}};
  for (const ReplacementVariant& v : r.variants) {
    std::vector<std::string> row = {v.name, number(v.perplexity.perplexity.value), "", "", "", ""};
    if (v.loss_change) row[2] = signed_number(v.loss_change->value);
    if (v.divergence) {
      row[3] = number(v.divergence->mean_kl.value);
      row[4] = number(v.divergence->max_kl);
      row[5] = percent(v.divergence->top1_agreement.value);
    }
    rows.push_back(std::move(row));
  }
  page.table(rows);
  const auto& constant = r.variants[1].divergence;
  const auto& removed = r.variants[2].divergence;
  if (!constant || !removed || removed->mean_kl.value <= 0) return;
  page.paragraph(
      fmt::format("The constant leaves {} of the divergence that removing the sum causes{}.",
                  percent(std::min(1.0, constant->mean_kl.value / removed->mean_kl.value)),
                  constant->mean_kl.value < 0.1 * removed->mean_kl.value
                      ? ": what the massive tokens do here is to add a bias"
                      : ""));
}

}  // namespace

std::string explain_text(const ExplainResult& result, const TextStyle& style) {
  Page page(style);
  add_heading(result, page);
  add_found(result, page);
  add_findings(result, page);
  add_weights(result, page);
  add_path(result, page);
  add_sinks(result, page);
  add_bias(result, page);
  add_replacement(result, page);
  for (const AttentionMap& map : result.maps) {
    page.paragraph(fmt::format("Map of layer {}, {}: written with --out.", map.layer,
                               map.head ? fmt::format("head {}", *map.head) : "mean over heads"));
  }
  return page.take() + warnings_text(result.warnings, style);
}

}  // namespace massact
