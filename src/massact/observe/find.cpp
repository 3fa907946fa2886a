#include "massact/observe/find.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <tuple>

namespace massact::observe {
namespace {

FindingLayer summarise(int layer, const std::vector<const Hit*>& hits) {
  FindingLayer result{.layer = layer, .scalars = std::ssize(hits)};
  const auto n = static_cast<double>(hits.size());
  // Summed as differences to the first, so that equal values have no σ at all.
  const auto first = static_cast<double>(hits.front()->magnitude.value);
  double above_first = 0.0;
  std::set<std::int64_t> sequences;
  for (const Hit* hit : hits) {
    const auto value = static_cast<double>(hit->magnitude.value);
    sequences.insert(hit->sequence);
    above_first += value - first;
    result.max_abs = std::max(result.max_abs, std::abs(value));
    if (value != 0.0) result.ratio += std::abs(value) / hit->median / n;  // of a median of 0: ∞
  }
  result.mean = first + above_first / n;
  double squares = 0.0;
  for (const Hit* hit : hits) {
    const double e = static_cast<double>(hit->magnitude.value) - result.mean;
    squares += e * e;
  }
  result.sequences = std::ssize(sequences);
  result.sigma = std::sqrt(squares / n);
  result.cv = result.mean == 0.0 ? 0.0 : result.sigma / std::abs(result.mean);
  return result;
}

// The token that most of the hits sit on; the smaller id, if two are as frequent. What has no id (a
// patch of an image) goes by its text.
void name_token(const std::vector<const Hit*>& hits, const PositionLabels& labels,
                Finding& finding) {
  std::map<std::pair<std::int32_t, std::string>, std::vector<const Hit*>> by_token;
  for (const Hit* hit : hits) {
    const std::int64_t sequence = hit->sequence, position = hit->magnitude.position;
    const std::int32_t id = labels.token_id(sequence, position);
    by_token[{id, id < 0 ? labels.token_text(sequence, position) : ""}].push_back(hit);
  }
  const auto most = std::max_element(by_token.begin(), by_token.end(), [](auto& a, auto& b) {
    return a.second.size() < b.second.size();
  });
  const Hit& hit = *most->second.front();
  finding.token_id = most->first.first;
  finding.token = labels.token_text(hit.sequence, hit.magnitude.position);
  finding.token_share = static_cast<double>(most->second.size()) / static_cast<double>(hits.size());
}

void give_example(const std::vector<const Hit*>& hits, const PositionLabels& labels,
                  Finding& finding) {
  const Hit& hit = **std::max_element(hits.begin(), hits.end(), [](const Hit* a, const Hit* b) {
    return std::abs(a->magnitude.value) < std::abs(b->magnitude.value);
  });
  const std::int64_t sequence = hit.sequence, position = hit.magnitude.position;
  finding.example = {.sequence = sequence,
                     .position = position,
                     .token_id = labels.token_id(sequence, position),
                     .token = labels.token_text(sequence, position),
                     .before = labels.text_before(sequence, position),
                     .after = labels.text_after(sequence, position),
                     .value = hit.magnitude.value};
}

Finding make_finding(const std::map<int, std::vector<const Hit*>>& by_layer,
                     const Magnitudes& magnitudes, const PositionLabels& labels) {
  Finding finding;
  for (const auto& [layer, hits] : by_layer) finding.layers.push_back(summarise(layer, hits));
  finding.first_layer = finding.layers.front().layer;
  finding.last_layer = finding.layers.back().layer;
  const auto weight = [](const FindingLayer& l) {
    return std::abs(l.mean) * static_cast<double>(l.sequences);
  };
  const FindingLayer& peak =
      *std::max_element(finding.layers.begin(), finding.layers.end(),
                        [&](const auto& a, const auto& b) { return weight(a) < weight(b); });
  finding.peak_layer = peak.layer;
  finding.scalars = peak.scalars;
  finding.mean = peak.mean;
  finding.sigma = peak.sigma;
  finding.cv = peak.cv;
  finding.max_abs = peak.max_abs;
  finding.ratio = peak.ratio;
  const auto all = magnitudes.layers().at(peak.layer).sequences.size();
  finding.sequence_share = static_cast<double>(peak.sequences) / static_cast<double>(all);

  const auto& hits = by_layer.at(peak.layer);
  name_token(hits, labels, finding);
  give_example(hits, labels, finding);
  for (const Hit* hit : hits) {
    finding.values.push_back({hit->sequence, hit->magnitude.position, hit->magnitude.value});
  }
  std::sort(finding.values.begin(), finding.values.end(), [](const auto& a, const auto& b) {
    return std::tie(a.sequence, a.position) < std::tie(b.sequence, b.position);
  });
  if (finding.values.size() > Finding::kMaxValues) finding.values.resize(Finding::kMaxValues);
  return finding;
}

std::vector<Hit> threshold_hits(const Magnitudes& magnitudes, const Rule& rule,
                                std::int64_t& truncated) {
  std::vector<Hit> hits;
  for (const auto& [number, layer] : magnitudes.layers()) {
    for (const SequenceMagnitudes& sequence : layer.sequences) {
      const std::size_t before = hits.size();
      for (const Magnitude& m : sequence.top) {
        if (!rule.met_by(std::abs(static_cast<double>(m.value)), sequence.median())) break;
        hits.push_back({number, sequence.sequence, m, sequence.median()});
      }
      const bool all_met = hits.size() - before == sequence.top.size();
      if (all_met && std::ssize(sequence.top) < sequence.positions * sequence.width) ++truncated;
    }
  }
  return hits;
}

}  // namespace

std::vector<Finding> group(const std::vector<Hit>& hits, const Magnitudes& magnitudes,
                           const PositionLabels& labels, Label label) {
  using Key = std::pair<std::int32_t, std::string>;
  std::map<Key, std::map<int, std::vector<const Hit*>>> groups;
  for (const Hit& hit : hits) {
    const std::string name(labels.position_class(hit.sequence, hit.magnitude.position));
    groups[{hit.magnitude.dimension, name}][hit.layer].push_back(&hit);
  }
  std::vector<Finding> findings;
  for (const auto& [key, by_layer] : groups) {
    findings.push_back(make_finding(by_layer, magnitudes, labels));
    findings.back().dimension = key.first;
    findings.back().position_class = key.second;
    findings.back().label = label;
  }
  std::stable_sort(findings.begin(), findings.end(),
                   [](const Finding& a, const Finding& b) { return a.ratio > b.ratio; });
  return findings;
}

FindingSet Magnitudes::findings(const Rule& rule, const PositionLabels& labels) const {
  FindingSet set;
  set.rule = rule;
  if (rule.kind == RuleKind::automatic) {
    AutomaticHits found = automatic_hits(*this);
    set.gaps = std::move(found.gaps);
    set.findings = group(found.hits, *this, labels, Label::massive);
    for (Finding& f : set.findings) {
      if (f.ratio < kMassiveRatio) f.label = Label::large;
    }
  } else {
    set.findings = group(threshold_hits(*this, rule, set.truncated), *this, labels, Label::massive);
  }
  return set;
}

FindingSet Magnitudes::candidates(std::size_t count, const PositionLabels& labels) const {
  std::vector<Hit> hits;
  for (const auto& [number, layer] : layers_) {
    for (const SequenceMagnitudes& sequence : layer.sequences) {
      hits.push_back({number, sequence.sequence, sequence.top.front(), sequence.median()});
    }
  }
  FindingSet set;
  set.rule = Rule::thresholds(0.0, 0.0);
  set.findings = group(hits, *this, labels, Label::not_massive);
  if (set.findings.size() > count) set.findings.resize(count);
  return set;
}

std::vector<OutlierDimension> outlier_dimensions(const Magnitudes& magnitudes) {
  constexpr double kTokenShare = 0.06, kLayerShare = 0.25;
  std::map<std::size_t, OutlierDimension> dimensions;
  double layers = 0.0, tokens = 0.0;
  for (const auto& [number, layer] : magnitudes.layers()) {
    if (number == 0) continue;
    layers += 1.0;
    tokens += static_cast<double>(layer.tokens);
    const double least = kTokenShare * static_cast<double>(layer.tokens);
    for (std::size_t d = 0; d < layer.outlier_counts.size(); ++d) {
      const auto count = static_cast<double>(layer.outlier_counts[d]);
      if (count == 0.0) continue;
      OutlierDimension& dimension = dimensions[d];
      dimension.dimension = static_cast<std::int64_t>(d);
      dimension.layer_share += count >= least ? 1.0 : 0.0;
      dimension.token_share += count;
    }
  }
  std::vector<OutlierDimension> result;
  for (auto& entry : dimensions) {
    entry.second.layer_share /= layers;
    entry.second.token_share /= tokens;
    if (entry.second.layer_share >= kLayerShare) result.push_back(entry.second);
  }
  return result;
}

}  // namespace massact::observe
