#include "massact/study/ablate_targets.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "massact/base/error.h"
#include "massact/observe/find.h"
#include "massact/observe/magnitudes.h"
#include "massact/study/ablate_labels.h"

namespace massact {
namespace {

constexpr std::size_t kCandidates = 4;

struct Place {
  int layer = 0;
  std::int64_t sequence = 0;
  std::int64_t position = 0, dimension = 0;
  float value = 0.0f;
};

using Group = std::pair<std::string, std::int64_t>;  // position class, dimension

std::vector<Place> places_of(const std::vector<observe::Hit>& hits) {
  std::vector<Place> places;
  for (const observe::Hit& hit : hits) {
    places.push_back({hit.layer, hit.sequence, hit.magnitude.position, hit.magnitude.dimension,
                      hit.magnitude.value});
  }
  return places;
}

// Every kept value that `meets` accepts, given its rank in its sequence.
template <typename Meets>
std::vector<Place> places_where(const observe::Magnitudes& magnitudes, const Meets& meets) {
  std::vector<Place> places;
  for (const auto& [number, layer] : magnitudes.layers()) {
    for (const auto& sequence : layer.sequences) {
      for (std::size_t rank = 0; rank < sequence.top.size(); ++rank) {
        const observe::Magnitude& m = sequence.top[rank];
        if (!meets(sequence, m, rank)) continue;
        places.push_back({number, sequence.sequence, m.position, m.dimension, m.value});
      }
    }
  }
  return places;
}

std::vector<Place> places_meeting(const observe::Magnitudes& magnitudes, const Rule& rule) {
  return places_where(magnitudes, [&](const auto& sequence, const auto& m, std::size_t) {
    return rule.met_by(std::abs(static_cast<double>(m.value)), sequence.median());
  });
}

// The rule as asked for, else the automatic one, else the largest values.
std::vector<Place> find(const observe::Magnitudes& magnitudes, const Rule& rule,
                        const PositionLabels& labels, Targets& targets) {
  targets.findings = magnitudes.findings(rule, labels);
  if (targets.findings.findings.empty() && rule.kind != RuleKind::automatic) {
    targets.notes.push_back(
        fmt::format("the rule {} finds nothing: trying auto", rule.to_string()));
    targets.findings = magnitudes.findings(Rule::automatic(), labels);
  }
  if (!targets.findings.findings.empty()) {
    const bool automatic = targets.findings.rule.kind == RuleKind::automatic;
    return automatic ? places_of(observe::automatic_hits(magnitudes).hits)
                     : places_meeting(magnitudes, rule);
  }
  targets.notes.emplace_back(
      "the auto rule finds nothing either: what is ablated are the largest values of each "
      "sequence, which are NOT massive");
  targets.findings = magnitudes.candidates(kCandidates, labels);
  return places_where(magnitudes,
                      [](const auto&, const auto&, std::size_t rank) { return rank == 0; });
}

// The findings to ablate: the massive ones, else the large ones, else the candidates.
std::set<Group> choose_groups(Targets& targets) {
  const auto& findings = targets.findings.findings;
  targets.label = Label::not_massive;
  for (const Finding& finding : findings) targets.label = std::min(targets.label, finding.label);
  std::set<Group> groups;
  for (const Finding& finding : findings) {
    if (finding.label == targets.label) groups.insert({finding.position_class, finding.dimension});
  }
  return groups;
}

int first_layer_of(const Targets& targets) {
  // Candidates are everywhere: take the layer where the best of them appears.
  if (targets.label == Label::not_massive) return targets.findings.findings.front().first_layer;
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

Targets find_targets(const Model& model, const std::vector<Plan::Tokens>& calibration,
                     const std::vector<Plan::Tokens>& evaluation, const TargetOptions& options,
                     Progress& progress) {
  const ModelConfig& config = model.config();
  std::vector<Plan::Tokens> all = calibration;
  all.insert(all.end(), evaluation.begin(), evaluation.end());
  const TokenLabels labels(all, model.has_tokenizer() ? &model.tokenizer() : nullptr,
                           options.classes, config.prefix_rows());
  Plan plan(model, std::move(all));
  std::vector<int> layers(static_cast<std::size_t>(config.layers) + 1);
  std::iota(layers.begin(), layers.end(), 0);
  const auto& magnitudes =
      plan.observe(sites::hidden_states(config, layers), observe::Magnitudes{});

  Targets targets;
  targets.run = run(plan, options.run, progress);
  const std::vector<Place> places = find(magnitudes, options.rule, labels, targets);
  require(!targets.findings.findings.empty(), model.name(), "expected values to ablate, got none");
  const std::set<Group> groups = choose_groups(targets);
  targets.layer = first_layer_of(targets);

  const auto first = std::ssize(calibration);
  std::map<int, edit::ScalarLists> found;
  std::map<int, edit::Means> means;
  for (const Place& place : places) {
    const std::string position_class(labels.position_class(place.sequence, place.position));
    if (!groups.contains({position_class, place.dimension})) continue;
    if (place.sequence < first) {
      means[place.layer].add(position_class, place.dimension, static_cast<double>(place.value));
    } else {
      found[place.layer][place.sequence - first].push_back({place.position, place.dimension});
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
    targets.medians[sequence.sequence - first] = sequence.median();
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
