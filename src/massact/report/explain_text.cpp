#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "massact/base/units.h"
#include "massact/report/eval_text.h"
#include "massact/report/explain_report.h"
#include "massact/report/explain_text_parts.h"
#include "massact/report/image_text.h"

namespace massact {
namespace explain_page {
namespace {

constexpr std::size_t kShownFindings = 6;
constexpr std::size_t kShownNeurons = 3;
constexpr double kShownShare = 0.02;

void add_heading(const ExplainResult& result, Page& page) {
  const ScanFacts& facts = result.facts;
  const std::string read =
      facts.images ? fmt::format("{} x {} tokens of images ({})", facts.sequences, facts.seq_len,
                                 page.safe(facts.text))
                   : fmt::format("{} x {} tokens of {}, BOS {}", facts.sequences, facts.seq_len,
                                 page.safe(facts.text), facts.bos ? "yes" : "no");
  page.paragraph(fmt::format("{} ({}, {}, width {}, {} heads in {} groups of keys), {}, {}, {}",
                             page.safe(facts.model), facts.family, counted(facts.layers, "layer"),
                             facts.width, result.config.heads, result.config.kv_heads, read,
                             facts.precision, format_seconds(facts.seconds)));
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

}  // namespace

std::string join_words(const std::vector<std::string>& words) {
  std::string out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) out += i + 1 == words.size() ? " and " : ", ";
    out += words[i];
  }
  return out;
}

}  // namespace explain_page

std::string explain_text(const ExplainResult& result, const TextStyle& style) {
  using namespace explain_page;
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
