#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "massact/base/units.h"
#include "massact/report/ablate_report.h"
#include "massact/report/eval_text.h"
#include "massact/report/image_text.h"
#include "massact/report/numbers.h"
#include "massact/report/rule_name.h"
#include "massact/report/table.h"

namespace massact {
namespace {

// lm-eval's own number is per word; it is not given for token files.
const eval::Estimate& headline(const eval::Perplexity& p) {
  return p.word_perplexity ? *p.word_perplexity : p.perplexity;
}

std::string ratio_text(const eval::Estimate& loss_change, const TextStyle& style) {
  const eval::Estimate ratio = eval::exp_of(loss_change);
  const std::string times = style.utf8 ? "×" : "x";
  // Close to 1 the difference says more than the ratio.
  if (std::abs(loss_change.value) < 0.05) {
    const std::string error = ratio.error ? fmt::format(" {} {}", style.utf8 ? "±" : "+-",
                                                        error_number(100.0 * *ratio.error))
                                          : "";
    return fmt::format("{:+.2g}{} %", 100.0 * (ratio.value - 1.0), error);
  }
  return times + " " + (ratio.error ? estimate_text(ratio, style) : number(ratio.value));
}

// True if images are labelled and the model has a classifier.
bool classifies(const AblateResult& result) {
  const auto& images = result.rows.front().measures.images;
  return images && images->top1;
}

// True if predictions are compared: of texts always, of images if there is a classifier.
bool predicts(const AblateResult& result) {
  return !result.images || std::any_of(result.rows.begin(), result.rows.end(), [](const auto& row) {
    return row.measures.divergence.has_value();
  });
}

std::vector<std::string> header_of(const AblateResult& result) {
  std::vector<std::string> header = {"variant", "layer", "scalars"};
  for (const auto& text : result.texts) {
    const bool words = text.request.convention == eval::Convention::lm_eval && text.counts;
    header.push_back(
        fmt::format("{}ppl {}", words ? "word " : "", name_of(text.request.convention)));
    header.emplace_back("change");
  }
  if (classifies(result)) header.insert(header.end(), {"top-1", "change", "top-5", "change"});
  if (predicts(result)) {
    header.insert(header.end(), {"mean KL", "p99 KL", "max KL", "top-1 kept"});
  }
  if (result.images) header.insert(header.end(), {"cosine", "least"});
  for (const auto& task : result.tasks) {
    header.push_back(task.request.name + " acc");
    header.emplace_back("change");
  }
  return header;
}

// A share in percent and its change in percentage points (pp).
void add_share(const std::optional<eval::Estimate>& share,
               const std::optional<eval::Estimate>& change, const TextStyle& style,
               std::vector<std::string>& cells) {
  const auto in_percent = [](const eval::Estimate& e) {
    eval::Estimate result{100.0 * e.value, e.error};
    if (result.error) *result.error *= 100.0;
    return result;
  };
  const std::string plus_minus = style.utf8 ? " ± " : " +- ";
  cells.push_back(share ? estimate_text(in_percent(*share), style) + " %" : "");
  if (!change) {
    cells.emplace_back("");
    return;
  }
  const eval::Estimate points = in_percent(*change);
  cells.push_back(signed_number(points.value) +
                  (points.error ? plus_minus + error_number(*points.error) : "") + " pp");
}

void add_image_cells(const eval::ImageMeasures& images, std::vector<std::string>& cells) {
  cells.push_back(images.cosine ? fmt::format("{:.5g}", images.cosine->value) : "");
  cells.push_back(images.cosine ? fmt::format("{:.4g}", images.least_cosine) : "");
}

std::vector<std::string> cells_of(const AblateResult& result, const VariantRow& row,
                                  const TextStyle& style) {
  const Measures& m = row.measures;
  std::vector<std::string> cells = {row.name, row.layer < 0 ? "" : fmt::format("{}", row.layer),
                                    row.scalars == 0 ? "" : fmt::format("{}", row.scalars)};
  for (std::size_t i = 0; i < m.perplexities.size(); ++i) {
    cells.push_back(estimate_text(headline(m.perplexities[i]), style));
    cells.push_back(m.loss_changes.empty() ? "" : ratio_text(m.loss_changes[i], style));
  }
  if (classifies(result)) {
    add_share(m.images->top1, m.images->top1_change, style, cells);
    add_share(m.images->top5, m.images->top5_change, style, cells);
  }
  if (m.divergence) {
    cells.push_back(fmt::format("{:.3g}", m.divergence->mean_kl.value));
    cells.push_back(fmt::format("{:.3g}", m.divergence->p99_kl));
    cells.push_back(fmt::format("{:.3g}", m.divergence->max_kl));
    cells.push_back(percent(m.divergence->top1_agreement.value));
  } else if (predicts(result)) {
    cells.insert(cells.end(), 4, "");
  }
  if (m.images) add_image_cells(*m.images, cells);
  for (std::size_t i = 0; i < m.accuracies.size(); ++i) {
    cells.push_back(estimate_text(m.accuracies[i].acc, style));
    cells.push_back(m.acc_changes.empty() ? "" : signed_number(m.acc_changes[i].value));
  }
  return cells;
}

std::string_view what_they_are(Label label) {
  if (label == Label::massive) return "Massive activations";
  return label == Label::large ? "Large activations, NOT massive,"
                               : "The largest values, NOT massive,";
}

std::string how_they_were_found(const Targets& targets) {
  if (targets.label == Label::not_massive)
    return "no rule found any: the largest of every sequence";
  return fmt::format("{}, by the rule {}", name_of(targets.label), rule_name(targets.findings));
}

std::string targets_text(const AblateResult& result, const TextStyle& style) {
  if (!result.targets) return "";
  const Targets& targets = *result.targets;
  std::string out =
      wrap(fmt::format("{} at layer {} ({}; selector {}):", what_they_are(targets.label),
                       targets.layer, how_they_were_found(targets),
                       result.selector == SelectorKind::found ? "found" : "class"),
           style) +
      "\n";
  for (const AblationTarget& target : targets.targets) {
    const std::string mean =
        target.mean_count == 0
            ? fmt::format("no mean: it met the rule nowhere in the calibration {}",
                          result.images ? "images" : "windows")
            : fmt::format("mean {} (n = {})", signed_number(target.mean), target.mean_count);
    TextStyle inner = style;
    inner.width = style.width - 2;
    out += "  " +
           wrap(fmt::format("dimension {}, {} token \"{}\": {}", target.finding.dimension,
                            target.finding.position_class, printable(target.finding.token, style),
                            mean),
                inner) +
           "\n";
  }
  return out;
}

}  // namespace

std::string variants_table(const AblateResult& result, const TextStyle& style) {
  std::vector<std::vector<std::string>> rows = {header_of(result)};
  for (const VariantRow& row : result.rows) rows.push_back(cells_of(result, row, style));
  // Variants of weights have no layer, no scalars and no KL divergence.
  for (std::size_t column = rows.front().size(); column-- > 0;) {
    const bool empty = std::all_of(rows.begin() + 1, rows.end(),
                                   [&](const auto& row) { return row[column].empty(); });
    if (!empty) continue;
    for (auto& row : rows) row.erase(row.begin() + static_cast<std::ptrdiff_t>(column));
  }
  return table_text(rows, style);
}

std::string ablate_text(const AblateResult& result, const TextStyle& style) {
  std::string out = facts_text(result.facts, style);
  out += wrap(fmt::format(
                  "calibration: {}, {}: {}; evaluation: {}",
                  counted(result.split.calibration_windows, result.images ? "image" : "window"),
                  counted(result.split.calibration_tokens, "token"),
                  printable(result.split.calibration, style),
                  printable(result.split.evaluation, style)),
              style) +
         "\n";
  if (result.images) {
    out += classifier_text(*result.images, style) + left_out_text(*result.images, style);
  }
  for (std::size_t i = 0; i < result.texts.size(); ++i) {
    const auto& original = result.rows.front().measures.perplexities[i];
    out += wrap(fmt::format("ppl {}: {}", name_of(result.texts[i].request.convention),
                            convention_text(result.texts[i], original.targets)),
                style) +
           "\n";
  }
  const std::string targets = targets_text(result, style);
  out += "\n" + targets + (targets.empty() ? "" : "\n");
  out += variants_table(result, style) + "\n";
  for (const std::string& verdict : result.verdicts) out += wrap(verdict, style) + "\n";
  out += wrap(fmt::format("All of it took {:.2f} forward passes.", result.forward_passes), style);
  return out + "\n" + warnings_text(result.warnings, style);
}

}  // namespace massact
