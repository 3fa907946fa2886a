#include "massact/report/scan_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "massact/base/units.h"
#include "massact/report/image_text.h"
#include "massact/report/layer_curve.h"
#include "massact/report/numbers.h"

namespace massact {
namespace {

constexpr std::size_t kShownFindings = 12;
constexpr std::size_t kShownCandidates = 5;
constexpr std::size_t kShownFeatures = 16;
constexpr std::size_t kShownExperts = 6;
constexpr double kNoSpread = 1e-12;

std::string rule_in_words(const Rule& rule, const TextStyle& style) {
  if (rule.kind == RuleKind::automatic) return "the auto rule (a gap in the tail of log|h|)";
  const std::string_view name = rule.kind == RuleKind::strict ? "the strict rule" : "the rule";
  return fmt::format("{} |h| > {} and |h| {} {} {} median", name, number(rule.min_abs),
                     style.utf8 ? "≥" : ">=", number(rule.min_ratio), style.utf8 ? "×" : "x");
}

std::string count(std::int64_t n) { return format_count(static_cast<std::uint64_t>(n)); }

std::string images_in_words(const ScanFacts& facts, const TextStyle& style) {
  const ImageFacts& images = *facts.images;
  return fmt::format("{} {} of {} x {} pixels ({} cls, {} {}, {} x {} patches): {}",
                     count(facts.sequences), facts.sequences == 1 ? "image" : "images",
                     images.width, images.height, images.class_tokens, images.registers,
                     images.registers == 1 ? "register" : "registers", images.grid.columns,
                     images.grid.rows, printable(facts.text, style));
}

std::string heading(const ScanResult& result, const TextStyle& style) {
  const ScanFacts& facts = result.facts;
  const std::string dot = style.utf8 ? " · " : ", ";
  const std::string text =
      fmt::format("{} ({}, {}, width {}){}{}{}{}{}{} {}, {}", printable(facts.model, style),
                  facts.family, counted(facts.layers, "layer"), facts.width, dot,
                  facts.images ? images_in_words(facts, style)
                               : fmt::format("{} x {} tokens of {}{}BOS {}", count(facts.sequences),
                                             count(facts.seq_len), printable(facts.text, style),
                                             dot, facts.bos ? "yes" : "no"),
                  dot, facts.precision, dot, facts.passes, facts.passes == 1 ? "pass" : "passes",
                  format_seconds(facts.seconds));
  std::string out = wrap(text, style) + "\n";
  if (facts.images) out += left_out_text(*facts.images, style);
  return out;
}

// `first` stands at the left of the first line, spaces of its width before the others.
std::string indented(std::string_view first, std::string_view text, const TextStyle& style) {
  const int columns = display_width(first);
  TextStyle inner = style;
  inner.width = style.width - columns;
  const std::string lines = wrap(text, inner);
  std::string out(first);
  for (const char c : lines) {
    out += c;
    if (c == '\n') out += std::string(static_cast<std::size_t>(columns), ' ');
  }
  return out + '\n';
}

std::string layers_in_words(const Finding& finding) {
  if (finding.first_layer == finding.last_layer) {
    return fmt::format("layer {}", finding.first_layer);
  }
  return fmt::format("layers {} to {}, most at {}", finding.first_layer, finding.last_layer,
                     finding.peak_layer);
}

std::string token_in_words(std::string_view token, const TextStyle& style) {
  return token.empty() ? "no token" : "\"" + printable(token, style) + "\"";
}

// `path` cut to `columns` at its front: the end tells files apart.
std::string path_end(std::string path, int columns, const TextStyle& style) {
  if (display_width(path) <= columns) return path;
  const std::string_view mark = style.utf8 ? "…" : "...";
  while (!path.empty() && display_width(path) > columns - display_width(mark)) {
    do {
      path.erase(0, 1);
    } while (!path.empty() && (static_cast<unsigned char>(path[0]) & 0xC0) == 0x80);
  }
  return std::string(mark) + path;
}

// Where a value is in an image.
std::string image_line(const FindingExample& example, const ImageFacts& images,
                       const TextStyle& style) {
  const std::string& file = images.files.at(static_cast<std::size_t>(example.sequence));
  const std::string place =
      fmt::format("    {} at {} of ", signed_number(example.value), example.token);
  const int room = style.width - display_width(place);
  return place + path_end(printable(file, style), room, style) + "\n";
}

// The example's token in its surroundings, the token in brackets.
std::string example_line(const FindingExample& example, const TextStyle& style) {
  const std::string place = fmt::format("sequence {}, position {}: {} at ", example.sequence,
                                        example.position, signed_number(example.value));
  const std::string token = "[" + printable(example.token, style) + "]";
  const int room = style.width - 4 - display_width(place) - display_width(token);
  std::string before = printable(example.before, style);
  const std::string after = printable(example.after, style);
  // The words nearest to the token matter most: cut the far ends.
  const int before_room = std::max(room / 3, room - display_width(after));
  while (!before.empty() && display_width(before) > before_room) {
    before.erase(0, 1);
    while (!before.empty() && (static_cast<unsigned char>(before[0]) & 0xC0) == 0x80) {
      before.erase(0, 1);
    }
  }
  const int after_room = std::max(0, room - display_width(before));
  return "    " +
         shorten(place + before + token + shorten(after, after_room, style), style.width - 4,
                 style) +
         "\n";
}

std::string finding_text(const Finding& finding, int index, const ScanFacts& facts,
                         const TextStyle& style) {
  const std::string times = style.utf8 ? "×" : "x";
  // Equal values leave a rounding error in the sums: no spread at all, to a person.
  const bool constant = finding.cv < kNoSpread;
  const std::string token = token_in_words(finding.token, style);
  const std::string tokens =
      finding.token_share < 1 ? fmt::format("tokens ({} {})", percent(finding.token_share), token)
                              : "token " + token;
  const std::string text = fmt::format(
      "dimension {}, {} {}, {}: mean {}, {} {}, CV {}, {} {} median, in {} of the {}",
      finding.dimension, finding.position_class, tokens, layers_in_words(finding),
      signed_number(finding.mean), style.utf8 ? "σ" : "sigma", number(constant ? 0 : finding.sigma),
      number(constant ? 0 : finding.cv), number(finding.ratio), times,
      percent(finding.sequence_share), facts.images ? "images" : "sequences");
  return indented(fmt::format("{:3} ", index), text, style) +
         (facts.images ? image_line(finding.example, *facts.images, style)
                       : example_line(finding.example, style));
}

std::string findings_text(std::string_view title, const std::vector<const Finding*>& findings,
                          std::size_t shown, const ScanFacts& facts, const TextStyle& style) {
  std::string out = wrap(title, style) + "\n";
  for (std::size_t i = 0; i < std::min(shown, findings.size()); ++i) {
    out += finding_text(*findings[i], static_cast<int>(i) + 1, facts, style);
  }
  if (findings.size() > shown) {
    out += indented(
        "    ",
        fmt::format("and {} more (all are in the report: --out, --json)", findings.size() - shown),
        style);
  }
  return out;
}

std::vector<const Finding*> with_label(const FindingSet& set, Label label) {
  std::vector<const Finding*> out;
  for (const Finding& finding : set.findings) {
    if (finding.label == label) out.push_back(&finding);
  }
  return out;
}

// What the layer curve itself has to say where the rule says nothing.
std::string largest_in_words(const ScanResult& result, const TextStyle& style) {
  const TopValue* largest = nullptr;
  int layer = 0;
  for (const LayerRow& row : result.layers) {
    if (row.largest.empty()) continue;
    const TopValue& top = row.largest.front();
    if (largest == nullptr || std::abs(top.value) > std::abs(largest->value)) {
      largest = &top;
      layer = row.layer;
    }
  }
  if (largest == nullptr) return "";
  const auto& images = result.facts.images;
  const std::string place =
      images
          ? "of " + printable(images->files.at(static_cast<std::size_t>(largest->sequence)), style)
          : fmt::format("at position {} of sequence {}", largest->position, largest->sequence);
  return fmt::format(
      " The largest value is {} at layer {} (dimension {}, {} token {} {}): {} {} its {}'s median.",
      signed_number(largest->value), layer, largest->dimension, largest->position_class,
      token_in_words(largest->token, style), place, number(largest->ratio), style.utf8 ? "×" : "x",
      images ? "image" : "sequence");
}

std::string set_text(const FindingSet& set, const ScanFacts& facts, const TextStyle& style) {
  std::string out;
  const auto massive = with_label(set, Label::massive);
  if (!massive.empty()) {
    out += findings_text(fmt::format("Massive activations by {}:", rule_in_words(set.rule, style)),
                         massive, kShownFindings, facts, style);
  }
  const auto large = with_label(set, Label::large);
  if (!large.empty()) {
    out +=
        findings_text(fmt::format("Large, but not massive, by {}:", rule_in_words(set.rule, style)),
                      large, kShownCandidates, facts, style);
  }
  return out;
}

std::string verdict(const ScanResult& result, const TextStyle& style) {
  if (result.findings.has_massive()) return set_text(result.findings, result.facts, style);
  std::string out =
      wrap(fmt::format("No massive activation was found by {}.{}",
                       rule_in_words(result.findings.rule, style), largest_in_words(result, style)),
           style) +
      "\n" + set_text(result.findings, result.facts, style);
  if (result.automatic) {
    const std::string found = set_text(*result.automatic, result.facts, style);
    out += found.empty() ? "The auto rule finds none either.\n" : found;
  }
  if (result.candidates && !result.candidates->findings.empty()) {
    out += findings_text(
        "The largest candidates (not massive):", with_label(*result.candidates, Label::not_massive),
        kShownCandidates, result.facts, style);
  }
  return out;
}

std::string features_text(const ScanResult& result, const TextStyle& style) {
  const auto& features = result.outlier_features;
  if (features.empty()) return "";
  std::string list;
  for (std::size_t i = 0; i < std::min(features.size(), kShownFeatures); ++i) {
    list += fmt::format("{}{}{}", i == 0 ? "" : ", ", features[i].dimension,
                        features[i].has_finding ? "*" : "");
  }
  if (features.size() > kShownFeatures) {
    list += fmt::format(", and {} more", features.size() - kShownFeatures);
  }
  const auto both = std::count_if(features.begin(), features.end(),
                                  [](const OutlierFeature& f) { return f.has_finding; });
  return wrap(fmt::format("Outlier features (Dettmers 2022, |h| {} 6): dimensions {}; {} of them "
                          "also {} a massive activation.",
                          style.utf8 ? "≥" : ">=", list, both, both == 1 ? "holds" : "hold"),
              style) +
         "\n";
}

// "expert 3 (100 %), 5 (40 %)" of the tokens of one finding in one layer.
std::string experts_in_words(const FindingRouting& routing, std::size_t shown) {
  std::string text = routing.experts.size() == 1 ? "expert" : "experts";
  for (std::size_t i = 0; i < std::min(shown, routing.experts.size()); ++i) {
    const ExpertCount& count = routing.experts[i];
    text += fmt::format(
        "{} {} ({})", i == 0 ? "" : ",", count.expert,
        percent(static_cast<double>(count.tokens) / static_cast<double>(routing.tokens)));
  }
  if (routing.experts.size() > shown) {
    text += fmt::format(" and {} more", routing.experts.size() - shown);
  }
  return text;
}

// Which experts saw the findings' tokens, in the layer that wrote them (or the next with experts)
// and in the layer where they are largest.
std::string routing_text(const ScanResult& result, const TextStyle& style) {
  if (!result.routing || result.best().findings.empty()) return "";
  const ScanRouting& routing = *result.routing;
  std::string out =
      wrap(fmt::format("Experts that saw these tokens ({} of {} per token):", routing.per_token,
                       routing.experts),
           style) +
      "\n";
  const auto& findings = result.best().findings;
  std::string line;
  std::size_t written = 0;
  for (const FindingRouting& entry : routing.findings) {
    if (entry.finding >= kShownFindings) break;
    const Finding& finding = findings[entry.finding];
    if (entry.layer < finding.first_layer || entry.layer > finding.peak_layer) continue;
    if (entry.finding + 1 == written && entry.layer != finding.peak_layer) continue;
    written = entry.finding + 1;
    line = fmt::format("layer {}: {}", entry.layer, experts_in_words(entry, kShownExperts));
    out += indented(fmt::format("{:3} ", entry.finding + 1), line, style);
  }
  return out;
}

}  // namespace

std::string scan_text(const ScanResult& result, const TextStyle& style) {
  std::string out = heading(result, style) + "\n" + layer_curve_text(result, style) + "\n" +
                    verdict(result, style);
  const std::string features = features_text(result, style);
  const std::string routing = routing_text(result, style);
  if (!routing.empty()) out += "\n" + routing;
  if (!features.empty()) out += "\n" + features;
  for (const std::string& warning : result.warnings) {
    out += wrap("warning: " + warning, style) + "\n";
  }
  return out;
}

}  // namespace massact
