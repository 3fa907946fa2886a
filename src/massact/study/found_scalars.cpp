#include "massact/study/found_scalars.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "massact/observe/find.h"

namespace massact {
namespace {

constexpr std::size_t kCandidates = 4;

using Group = std::pair<std::string, std::int64_t>;  // position class, dimension

std::vector<FoundScalar> scalars_of(const std::vector<observe::Hit>& hits) {
  std::vector<FoundScalar> scalars;
  for (const observe::Hit& hit : hits) {
    scalars.push_back({hit.layer, hit.sequence, hit.magnitude.position, hit.magnitude.dimension,
                       hit.magnitude.value});
  }
  return scalars;
}

// Every kept value that `meets` accepts, given its rank in its sequence.
template <typename Meets>
std::vector<FoundScalar> scalars_where(const observe::Magnitudes& magnitudes, const Meets& meets) {
  std::vector<FoundScalar> scalars;
  for (const auto& [number, layer] : magnitudes.layers()) {
    for (const auto& sequence : layer.sequences) {
      for (std::size_t rank = 0; rank < sequence.top.size(); ++rank) {
        const observe::Magnitude& m = sequence.top[rank];
        if (!meets(sequence, m, rank)) continue;
        scalars.push_back({number, sequence.sequence, m.position, m.dimension, m.value});
      }
    }
  }
  return scalars;
}

std::vector<FoundScalar> scalars_meeting(const observe::Magnitudes& magnitudes, const Rule& rule) {
  return scalars_where(magnitudes, [&](const auto& sequence, const auto& m, std::size_t) {
    return rule.met_by(std::abs(static_cast<double>(m.value)), sequence.median());
  });
}

// The rule as asked for, else the automatic one, else the largest values.
std::vector<FoundScalar> find(const observe::Magnitudes& magnitudes, const Rule& rule,
                              const PositionLabels& labels, FoundScalars& found) {
  found.findings = magnitudes.findings(rule, labels);
  if (found.findings.findings.empty() && rule.kind != RuleKind::automatic) {
    found.notes.push_back(fmt::format("the rule {} finds nothing: trying auto", rule.to_string()));
    found.findings = magnitudes.findings(Rule::automatic(), labels);
  }
  if (!found.findings.findings.empty()) {
    const bool automatic = found.findings.rule.kind == RuleKind::automatic;
    return automatic ? scalars_of(observe::automatic_hits(magnitudes).hits)
                     : scalars_meeting(magnitudes, rule);
  }
  found.notes.emplace_back(
      "the auto rule finds nothing either: what is looked at are the largest values of each "
      "sequence, which are NOT massive");
  found.findings = magnitudes.candidates(kCandidates, labels);
  return scalars_where(magnitudes,
                       [](const auto&, const auto&, std::size_t rank) { return rank == 0; });
}

}  // namespace

FoundScalars find_scalars(const observe::Magnitudes& magnitudes, const Rule& rule,
                          const PositionLabels& labels) {
  FoundScalars found;
  std::vector<FoundScalar> all = find(magnitudes, rule, labels, found);
  // The massive findings, else the large ones, else the candidates.
  found.label = Label::not_massive;
  for (const Finding& finding : found.findings.findings) {
    found.label = std::min(found.label, finding.label);
  }
  std::set<Group> groups;
  for (const Finding& finding : found.findings.findings) {
    if (finding.label == found.label) groups.insert({finding.position_class, finding.dimension});
  }
  for (FoundScalar& scalar : all) {
    const std::string position_class(labels.position_class(scalar.sequence, scalar.position));
    if (groups.contains({position_class, scalar.dimension})) found.scalars.push_back(scalar);
  }
  return found;
}

void keep_first(const PositionLabels& labels, FoundScalars& found) {
  auto& findings = found.findings.findings;
  const auto first = std::find_if(findings.begin(), findings.end(),
                                  [&](const Finding& f) { return f.label == found.label; });
  if (first == findings.end()) return;
  findings = {Finding(*first)};
  const Finding& kept = findings.front();
  std::erase_if(found.scalars, [&](const FoundScalar& scalar) {
    return scalar.dimension != kept.dimension ||
           labels.position_class(scalar.sequence, scalar.position) != kept.position_class;
  });
}

}  // namespace massact
