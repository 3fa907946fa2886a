#include "massact/study/ablate_targets.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "massact/base/error.h"
#include "massact/observe/magnitudes.h"
#include "massact/study/ablate_labels.h"
#include "massact/study/found_scalars.h"

namespace massact {
namespace {

int edited_layer(const Targets& targets) {
  // Candidates are everywhere: take the layer where the best of them stands out most.
  if (targets.label == Label::not_massive) {
    const auto& layers = targets.findings.findings.front().layers;
    return std::max_element(layers.begin(), layers.end(),
                            [](const auto& a, const auto& b) { return a.ratio < b.ratio; })
        ->layer;
  }
  int first = targets.findings.findings.front().first_layer;
  for (const Finding& finding : targets.findings.findings) {
    if (finding.label == targets.label) first = std::min(first, finding.first_layer);
  }
  return first;
}

bool appears_at(const Finding& finding, int layer) {
  return std::any_of(finding.layers.begin(), finding.layers.end(),
                     [&](const FindingLayer& at) { return at.layer == layer; });
}

void list_targets(Targets& targets) {
  const auto means = targets.means.find(targets.layer);
  for (const Finding& finding : targets.findings.findings) {
    if (finding.label != targets.label || !appears_at(finding, targets.layer)) continue;
    AblationTarget target{finding, 0.0, 0};
    const edit::Means::Entry* entry =
        means == targets.means.end()
            ? nullptr
            : means->second->find(finding.position_class, finding.dimension);
    if (entry != nullptr) {
      target.mean = entry->mean;
      target.mean_count = entry->n;
    }
    targets.targets.push_back(std::move(target));
  }
}

}  // namespace

RunToCome TargetSearch::run(const RunOptions& options) const {
  const auto watched =
      observe::HiddenStates::of(plan, plan.model().config().layers + 1, options.thread_count());
  return {.plan = plan, .kept = options.kept + observe::magnitudes_bytes(watched, {})};
}

TargetSearch search_texts(const Model& model, const std::vector<Plan::Tokens>& calibration,
                          const std::vector<Plan::Tokens>& evaluation,
                          const PositionLists& classes) {
  std::vector<Plan::Tokens> all = calibration;
  all.insert(all.end(), evaluation.begin(), evaluation.end());
  auto labels =
      std::make_shared<const TokenLabels>(all, model.has_tokenizer() ? &model.tokenizer() : nullptr,
                                          classes, model.config().prefix_rows());
  return {Plan(model, std::move(all)), std::move(labels), std::ssize(calibration)};
}

Targets find_targets(TargetSearch& search, const Rule& rule, const RunOptions& options,
                     Progress& progress) {
  Plan& plan = search.plan;
  const PositionLabels& labels = *search.labels;
  const std::int64_t calibration = search.calibration;
  const ModelConfig& config = plan.model().config();
  std::vector<int> layers(static_cast<std::size_t>(config.layers) + 1);
  std::iota(layers.begin(), layers.end(), 0);
  const auto& magnitudes =
      plan.observe(sites::hidden_states(config, layers), observe::Magnitudes{});

  Targets targets;
  RunOptions run_options = options;
  run_options.kept = search.run(options).kept;
  targets.run = massact::run(plan, run_options, progress);
  FoundScalars scalars = find_scalars(magnitudes, rule, labels);
  require(!scalars.scalars.empty(), plan.model().name(), "expected values to ablate, got none");
  targets.findings = std::move(scalars.findings);
  targets.label = scalars.label;
  targets.notes = std::move(scalars.notes);
  targets.layer = edited_layer(targets);

  std::map<int, edit::ScalarLists> found;
  std::map<int, edit::Means> means;
  for (const FoundScalar& place : scalars.scalars) {
    if (place.sequence < calibration) {
      means[place.layer].add(std::string(labels.position_class(place.sequence, place.position)),
                             place.dimension, static_cast<double>(place.value));
    } else {
      found[place.layer][place.sequence - calibration].push_back({place.position, place.dimension});
    }
  }
  for (auto& [layer, lists] : found) {
    for (auto& [sequence, list] : lists) std::sort(list.begin(), list.end());
    targets.found[layer] = std::make_shared<const edit::ScalarLists>(std::move(lists));
  }
  for (auto& [layer, entries] : means) {
    targets.means[layer] = std::make_shared<const edit::Means>(std::move(entries));
  }
  for (const auto& sequence : magnitudes.layers().at(targets.layer).sequences) {
    targets.medians[sequence.sequence - calibration] = sequence.median();
  }
  auto outliers = observe::outlier_dimensions(magnitudes);
  std::stable_sort(outliers.begin(), outliers.end(),
                   [](const auto& a, const auto& b) { return a.token_share > b.token_share; });
  for (const auto& outlier : outliers) {
    targets.outlier_dimensions.push_back(outlier.dimension);
  }
  if (targets.findings.truncated > 0) {
    targets.notes.push_back(fmt::format(
        "in {} (layer, sequence) pairs more values meet the rule than are kept: only the largest "
        "are ablated",
        targets.findings.truncated));
  }
  list_targets(targets);
  return targets;
}

}  // namespace massact
