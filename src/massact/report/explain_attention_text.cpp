// What attention makes of massive activations, in words and tables: steps 2 to 5.
#include <fmt/format.h>

#include <algorithm>

#include "massact/report/explain_text_parts.h"

namespace massact::explain_page {
namespace {

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

}  // namespace

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

namespace {

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

}  // namespace

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

}  // namespace massact::explain_page
