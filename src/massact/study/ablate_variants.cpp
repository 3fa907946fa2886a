#include "massact/study/ablate_variants.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "massact/base/error.h"
#include "massact/base/units.h"

namespace massact {
namespace {

/// Findings that are also zeroed one by one.
constexpr std::size_t kMostAlone = 6;

using SelectorPtr = std::shared_ptr<const edit::Selector>;

Site site_of(int layer) {
  return layer == 0 ? Site{SiteKind::resid_pre, 0} : Site{SiteKind::resid_post, layer - 1};
}

class Builder {
 public:
  Builder(const Targets& targets, const edit::EditContext& context,
          std::span<const std::int64_t> lengths, const AblateOptions& options,
          const ModelConfig& config)
      : targets_(targets),
        context_(context),
        lengths_(lengths),
        options_(options),
        config_(config) {}

  std::vector<Variant> build(std::vector<std::string>& notes) {
    const auto found = at(targets_.layer);
    add({.name = "zero", .kind = VariantKind::zero}, all_targets(), edit::zero());
    add_mean(*found, notes);
    add_controls(options_.selector == SelectorKind::found
                     ? found
                     : std::make_shared<const edit::ScalarLists>(of_classes()),
                 notes);
    add_each_finding(*found);
    for (const double factor : options_.sweep) {
      add({.name = fmt::format("x {}", factor), .kind = VariantKind::sweep, .factor = factor},
          all_targets(), edit::scale(static_cast<float>(factor)));
    }
    if (options_.each_layer) add_each_layer();
    return std::move(variants_);
  }

 private:
  std::shared_ptr<const edit::ScalarLists> at(int layer) const {
    const auto it = context_.found.find(layer);
    require(it != context_.found.end(), "ablate",
            "expected scalars that meet the rule at layer {} of the evaluation sequences, got none "
            "(evaluate more: {})",
            layer, config_.is_vision() ? "--images, --max-images" : "--text, --sequences");
    return it->second;
  }

  SelectorPtr listed(std::string name, edit::ScalarLists scalars) const {
    return edit::by_list(std::move(name),
                         std::make_shared<const edit::ScalarLists>(std::move(scalars)),
                         context_.prefix_rows);
  }

  // One selector per target under `class`, one list under `found`.
  std::vector<SelectorPtr> all_targets() const {
    if (options_.selector == SelectorKind::found) {
      return {edit::by_list("found", at(targets_.layer), context_.prefix_rows)};
    }
    std::vector<SelectorPtr> selectors;
    for (const AblationTarget& target : targets_.targets) selectors.push_back(by_class(target));
    return selectors;
  }

  SelectorPtr by_class(const AblationTarget& target) const {
    return edit::by_position(
        {edit::Positions::Kind::position_class, target.finding.position_class, {}},
        {target.finding.dimension}, context_.labels, context_.prefix_rows);
  }

  // What the selectors of `all_targets` take by class, listed.
  edit::ScalarLists of_classes() const {
    edit::ScalarLists lists;
    for (std::int64_t s = 0; s < std::ssize(lengths_); ++s) {
      for (std::int64_t p = 0; p < lengths_[static_cast<std::size_t>(s)]; ++p) {
        const auto position_class = context_.labels->position_class(s, p);
        for (const AblationTarget& target : targets_.targets) {
          if (target.finding.position_class != position_class) continue;
          lists[s].push_back({p, target.finding.dimension});
        }
      }
    }
    for (auto& [sequence, list] : lists) std::sort(list.begin(), list.end());
    return lists;
  }

  SelectorPtr one_target(const AblationTarget& target, const edit::ScalarLists& found) const {
    if (options_.selector == SelectorKind::position_class) return by_class(target);
    edit::ScalarLists own;
    for (const auto& [sequence, list] : found) {
      for (const edit::Scalar& scalar : list) {
        const auto position_class = context_.labels->position_class(sequence, scalar.position);
        if (scalar.dimension == target.finding.dimension &&
            position_class == target.finding.position_class) {
          own[sequence].push_back(scalar);
        }
      }
    }
    return own.empty() ? nullptr : listed("found", std::move(own));
  }

  void add(VariantRow row, const std::vector<SelectorPtr>& selectors, const edit::Change& change) {
    if (row.layer < 0) row.layer = targets_.layer;
    Variant variant;
    for (const SelectorPtr& selector : selectors) {
      auto edit = edit::edit_scalars(selector, change, context_.prefix_rows);
      row.description += (row.description.empty() ? "" : "; ") + edit->description();
      variant.edits.push_back({site_of(row.layer), std::move(edit)});
    }
    variant.row = std::move(row);
    variants_.push_back(std::move(variant));
  }

  // Known before the run: a mean that is missing must not show after hours.
  void add_mean(const edit::ScalarLists& found, std::vector<std::string>& notes) {
    const auto means = context_.means.find(targets_.layer);
    const std::string missing =
        means == context_.means.end() ? "any target" : scalar_without_mean(found, *means->second);
    if (missing.empty()) {
      add({.name = "mean", .kind = VariantKind::mean}, all_targets(),
          edit::mean(means->second, context_.labels));
      return;
    }
    require(targets_.label != Label::massive, "mean",
            "expected a mean of {} at layer {}, but none met the rule there in the "
            "calibration {} ({})",
            missing, targets_.layer, config_.is_vision() ? "images" : "windows", remedies(missing));
    notes.push_back(fmt::format(
        "the calibration sequences give no mean of {}: the variant `mean` is left out", missing));
  }

  // With a BOS all windows start with the same token and so with the same value of it.
  std::string remedies(const std::string& missing) const {
    if (config_.is_vision()) return "calibrate on more: --calibration, --images, --max-images";
    const std::string more = "calibrate on more: --calibration, --text, --sequences";
    const bool start = missing.find("start token") != std::string::npos;
    return start ? "windows without a BOS start with any token: --bos yes; or " + more : more;
  }

  // Such as "a dimension 5, weak token", or nothing if every scalar has a mean.
  std::string scalar_without_mean(const edit::ScalarLists& found, const edit::Means& means) const {
    for (const auto& [sequence, list] : found) {
      for (const edit::Scalar& scalar : list) {
        const auto position_class = context_.labels->position_class(sequence, scalar.position);
        if (means.find(position_class, scalar.dimension) != nullptr) continue;
        return fmt::format("a dimension {}, {} token", scalar.dimension, position_class);
      }
    }
    return "";
  }

  // Others in the same tokens, as many as `zeroed`.
  void add_controls(const std::shared_ptr<const edit::ScalarLists>& zeroed,
                    std::vector<std::string>& notes) {
    add({.name = "random", .kind = VariantKind::random},
        {listed("as many at random, same tokens",
                edit::random_instead_of(*zeroed, config_.width, options_.seed))},
        edit::zero());
    add({.name = "median-like", .kind = VariantKind::near_median},
        {edit::near_median(zeroed, targets_.medians, context_.prefix_rows)}, edit::zero());
    edit::ScalarLists outliers = edit::candidates_instead_of(*zeroed, targets_.outlier_dimensions);
    if (outliers.empty()) {
      notes.emplace_back(
          "this model has no outlier features (Dettmers 2022) besides the targets' dimensions "
          "here: that control is left out");
      return;
    }
    add({.name = "outlier-features", .kind = VariantKind::outlier_features},
        {listed("outlier features, same tokens", std::move(outliers))}, edit::zero());
  }

  void add_each_finding(const edit::ScalarLists& found) {
    if (targets_.targets.size() < 2) return;
    const std::size_t count = std::min(kMostAlone, targets_.targets.size());
    for (std::size_t i = 0; i < count; ++i) {
      const AblationTarget& target = targets_.targets[i];
      const SelectorPtr selector = one_target(target, found);
      if (selector == nullptr) continue;
      add({.name =
               fmt::format("{} {} alone", target.finding.position_class, target.finding.dimension),
           .kind = VariantKind::one_finding},
          {selector}, edit::zero());
    }
  }

  void add_each_layer() {
    for (const auto& [layer, scalars] : context_.found) {
      add({.name = fmt::format("zero at layer {}", layer),
           .kind = VariantKind::each_layer,
           .layer = layer},
          options_.selector == SelectorKind::found
              ? std::vector<SelectorPtr>{edit::by_list("found", scalars, context_.prefix_rows)}
              : all_targets(),
          edit::zero());
    }
  }

  const Targets& targets_;
  const edit::EditContext& context_;
  std::span<const std::int64_t> lengths_;
  const AblateOptions& options_;
  const ModelConfig& config_;
  std::vector<Variant> variants_;
};

// "moves top-1 from 75.5 to 59.8 %", or what there is without labels.
std::string effect_on_images(const VariantRow& row, const eval::ImageMeasures& original) {
  const eval::ImageMeasures& images = *row.measures.images;
  if (images.top1 && original.top1) {
    return fmt::format("moves top-1 from {:.1f} to {:.1f} %", 100.0 * original.top1->value,
                       100.0 * images.top1->value);
  }
  std::string text;
  if (row.measures.divergence) {
    text = fmt::format("moves the prediction by a KL of {:.3g} nats (same class in {:.4g} %)",
                       row.measures.divergence->mean_kl.value,
                       100.0 * row.measures.divergence->top1_agreement.value);
  }
  if (images.cosine) {
    text += fmt::format("{}leaves features of cosine {:.4g} with the original's",
                        text.empty() ? "" : " and ", images.cosine->value);
  }
  return text.empty() ? "was not compared" : text;
}

// 41.3 -> "multiplies perplexity by 41.3"; 1.0004 -> "changes perplexity by +0.04 %".
std::string effect(const VariantRow& row, const Measures& original) {
  if (row.measures.images) return effect_on_images(row, *original.images);
  if (!row.measures.loss_changes.empty()) {
    const double ratio = std::exp(row.measures.loss_changes.front().value);
    if (ratio >= 1.5 || ratio < 0.67) return fmt::format("multiplies perplexity by {:.4g}", ratio);
    return fmt::format("changes perplexity by {:+.2g} %", 100.0 * (ratio - 1.0));
  }
  return fmt::format("moves accuracy from {:.1f} to {:.1f} %",
                     100.0 * original.accuracies.front().acc.value,
                     100.0 * row.measures.accuracies.front().acc.value);
}

const VariantRow* row_of(const AblateResult& result, VariantKind kind) {
  for (const VariantRow& row : result.rows) {
    if (row.kind == kind) return &row;
  }
  return nullptr;
}

// "6 massive findings"; "1 finding, not massive".
std::string targets_in_words(const Targets& targets) {
  const std::int64_t count = std::ssize(targets.targets);
  if (targets.label == Label::not_massive) return counted(count, "finding") + ", not massive";
  return counted(count, fmt::format("{} finding", name_of(targets.label)));
}

// A row or column of a weight edit; ":" for all of them.
std::string index_text(std::int64_t index) { return index < 0 ? ":" : fmt::format("{}", index); }

}  // namespace

std::vector<Variant> automatic_variants(const Targets& targets, const edit::EditContext& context,
                                        std::span<const std::int64_t> lengths,
                                        const AblateOptions& options, const ModelConfig& config,
                                        std::vector<std::string>& notes) {
  return Builder(targets, context, lengths, options, config).build(notes);
}

std::vector<Variant> planned_variants(const edit::EditContext& context,
                                      const std::vector<Plan::Tokens>& sequences,
                                      const AblateOptions& options, const ModelConfig& config) {
  std::vector<Variant> variants;
  for (const edit::VariantSpec& spec : options.plan->variants) {
    Variant variant;
    variant.row.name = spec.name;
    variant.edits = edit::build_edits(spec, context, sequences, config);
    variant.added_tokens = spec.added_tokens;
    if (spec.added_tokens > 0) {
      variant.row.description = fmt::format("{} added", spec.added_tokens);
    }
    variant.weights = spec.weights;
    int layer = -2;  // not seen yet
    for (const SiteEdit& edit : variant.edits) {
      const int own = edit.site.block + 1;
      layer = layer == -2 || layer == own ? own : -1;
      auto& text = variant.row.description;
      const std::string next =
          fmt::format("{} at {}", edit.edit->description(), name_of(edit.site));
      text += (text.empty() ? "" : "; ") + next;
    }
    for (const edit::WeightEdit& edit : spec.weights) {
      auto& text = variant.row.description;
      text += text.empty() ? "" : "; ";
      text += edit.prune_rows > 0
                  ? fmt::format("prune the {} heaviest rows of {}", edit.prune_rows, edit.weight)
                  : fmt::format("{}[{}, {}] times {}", edit.weight, index_text(edit.row),
                                index_text(edit.column), edit.factor);
    }
    variant.row.layer = std::max(layer, -1);
    variants.push_back(std::move(variant));
  }
  return variants;
}

std::vector<std::string> verdicts_of(const AblateResult& result) {
  std::vector<std::string> verdicts;
  const VariantRow* zero = row_of(result, VariantKind::zero);
  if (zero == nullptr || !result.targets) return verdicts;
  const Measures& original = result.rows.front().measures;
  std::string text =
      fmt::format("Zeroing {} ({}) at layer {} {}", counted(zero->scalars, "scalar"),
                  targets_in_words(*result.targets), zero->layer, effect(*zero, original));
  if (const VariantRow* mean = row_of(result, VariantKind::mean)) {
    text += fmt::format("; setting them to their mean {}", effect(*mean, original));
  }
  for (const auto kind :
       {VariantKind::random, VariantKind::near_median, VariantKind::outlier_features}) {
    const VariantRow* control = row_of(result, kind);
    if (control == nullptr) continue;
    text += fmt::format("; zeroing {} ({}) {}", counted(control->scalars, "other"), control->name,
                        effect(*control, original));
  }
  verdicts.push_back(text + ".");
  for (const VariantRow& row : result.rows) {
    if (row.kind != VariantKind::one_finding) continue;
    verdicts.push_back(fmt::format("Zeroing {} ({} at layer {}) {}.", row.name,
                                   counted(row.scalars, "scalar"), row.layer,
                                   effect(row, original)));
  }
  return verdicts;
}

}  // namespace massact
