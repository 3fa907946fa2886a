// Steps 2 to 4 as people read them: the observers' sums become means.
#include <algorithm>
#include <cmath>
#include <map>

#include "massact/study/explain_parts.h"

namespace massact::explain {
namespace {

using observe::Group;
using observe::GroupMass;
using observe::HeadMass;

std::vector<ClassSink> class_sinks(const HeadMass& mass, double sequences) {
  std::vector<ClassSink> classes;
  for (std::size_t i = 0; i < observe::kGroups; ++i) {
    const GroupMass& group = mass.groups[i];
    if (group.keys == 0) continue;
    ClassSink& sink = classes.emplace_back();
    sink.group = observe::kGroupNames[i];
    sink.keys = group.keys / sequences;
    // Sums of rounded probabilities may pass 1 by a rounding.
    sink.probability = std::min(1.0, group.probability / mass.queries);
    if (group.pairs > 0 && std::isfinite(group.score)) sink.logit = group.score / group.pairs;
  }
  return classes;
}

bool has_entropy(const ModelConfig& config) {
  return config.variant != AttentionVariant::sigmoid &&
         config.variant != AttentionVariant::clipped_softmax;
}

HeadSink head_sink(const HeadMass& mass, std::int64_t head, const ModelConfig& config) {
  HeadSink sink;
  sink.head = head;
  sink.kv_head = head / (config.heads / config.kv_heads);
  if (has_entropy(config)) sink.entropy = mass.entropy / mass.queries;
  for (std::size_t n = 0; n < sink.first.size(); ++n) {
    sink.first[n] = std::min(1.0, mass.first[n] / mass.queries);
  }
  for (std::size_t k = 0; k < mass.alpha.size() && mass.alpha_count[k] > 0; ++k) {
    sink.alpha.push_back(mass.alpha[k] / static_cast<double>(mass.alpha_count[k]));
  }
  const auto sequences = static_cast<double>(mass.alpha_count[0]);
  sink.sink = sequences > 0 ? 100.0 * static_cast<double>(mass.sink_count[0]) / sequences : 0.0;
  sink.classes = class_sinks(mass, sequences);
  return sink;
}

// Means over the heads. Every head has the same groups.
SinkLayer layer_sink(const std::vector<HeadMass>& heads, int layer, const ModelConfig& config) {
  SinkLayer result;
  result.layer = layer;
  const auto count = static_cast<double>(heads.size());
  for (std::size_t h = 0; h < heads.size(); ++h) {
    HeadSink head = head_sink(heads[h], static_cast<std::int64_t>(h), config);
    result.sink += head.sink / count;
    if (head.entropy) result.entropy = result.entropy.value_or(0.0) + *head.entropy / count;
    for (std::size_t n = 0; n < head.first.size(); ++n) result.first[n] += head.first[n] / count;
    if (h == 0) {
      result.classes = head.classes;
      for (ClassSink& sink : result.classes) sink.probability = 0.0;
    }
    for (std::size_t i = 0; i < head.classes.size(); ++i) {
      ClassSink& sink = result.classes[i];
      sink.probability += head.classes[i].probability / count;
      if (!head.classes[i].logit) {
        sink.logit.reset();
      } else if (sink.logit) {
        sink.logit = (h == 0 ? 0.0 : *sink.logit) + *head.classes[i].logit / count;
      }
    }
    result.heads.push_back(std::move(head));
  }
  return result;
}

// What the layers of [first, last] do on average; none if there are none.
std::optional<SinkSummary> summary_of(const std::vector<SinkLayer>& layers, int first, int last,
                                      const std::vector<ExplainFinding>& findings) {
  SinkSummary summary;
  double count = 0, entropy = 0;
  bool has_all = true;
  for (const SinkLayer& layer : layers) {
    if (layer.layer < first || layer.layer > last) continue;
    count += 1;
    summary.sink += layer.sink;
    has_all &= layer.entropy.has_value();
    entropy += layer.entropy.value_or(0.0);
    for (const ClassSink& sink : layer.classes) {
      const bool found = std::any_of(findings.begin(), findings.end(), [&](const auto& f) {
        return f.finding.position_class == sink.group;
      });
      if (found) summary.massive_class_probability += sink.probability;
    }
  }
  if (count == 0) return std::nullopt;
  summary.sink /= count;
  summary.massive_class_probability = std::min(1.0, summary.massive_class_probability / count);
  if (has_all) summary.entropy = entropy / count;
  return summary;
}

BiasHead bias_head(const HeadMass& mass, std::int64_t head, const ModelConfig& config) {
  BiasHead bias;
  bias.head = head;
  bias.kv_head = head / (config.heads / config.kv_heads);
  bias.queries = mass.bias_queries;
  bias.closure = mass.closure;
  if (config.has_slot()) bias.slot_share = std::min(1.0, mass.slot_share / mass.queries);
  if (mass.bias_queries == 0) return bias;
  bias.share = std::min(1.0, mass.share / static_cast<double>(mass.bias_queries));
  if (mass.cosines > 0) bias.cosine = mass.cosine / static_cast<double>(mass.cosines);
  if (mass.bias_sequences < 2 || mass.mean_energy == 0) return bias;
  const auto sequences = static_cast<double>(mass.bias_sequences);
  double energy = 0;
  for (const double value : mass.mean) energy += (value / sequences) * (value / sequences);
  bias.variance = std::max(0.0, 1.0 - energy / (mass.mean_energy / sequences));
  return bias;
}

BiasLayer bias_layer(const std::vector<HeadMass>& heads, int layer, const ModelConfig& config) {
  BiasLayer result;
  result.layer = layer;
  double share = 0, slot = 0, with_share = 0, constant = 0, output = 0;
  for (std::size_t h = 0; h < heads.size(); ++h) {
    BiasHead head = bias_head(heads[h], static_cast<std::int64_t>(h), config);
    if (head.share) {
      share += *head.share;
      with_share += 1;
      const auto sequences = static_cast<double>(heads[h].bias_sequences);
      for (const double value : heads[h].mean) constant += std::pow(value / sequences, 2);
      output += heads[h].output_energy / static_cast<double>(heads[h].bias_queries);
    }
    slot += head.slot_share.value_or(0.0);
    result.heads.push_back(std::move(head));
  }
  if (with_share > 0) {
    result.share = share / with_share;
    result.constant_share = output > 0 ? std::min(1.0, constant / output) : 0.0;
  }
  if (config.has_slot()) result.slot_share = slot / static_cast<double>(heads.size());
  return result;
}

}  // namespace

std::vector<ExplainPath> paths_of(const observe::VectorPath& path) {
  std::map<std::pair<int, std::size_t>, ExplainPath> by_group;
  for (const auto& [site, groups] : path.points()) {
    for (std::size_t g = 0; g < groups.size(); ++g) {
      const observe::PathPoint& point = groups[g];
      if (point.tokens == 0) continue;
      ExplainPath& line = by_group[{site.block, g}];
      line.layer = site.block + 1;
      line.group = observe::kGroupNames[g];
      line.tokens = point.tokens;
    }
  }
  for (auto& [key, line] : by_group) {
    for (const SiteKind kind : observe::kPathSites) {
      const auto at = path.points().find({kind, key.first});
      if (at == path.points().end()) continue;
      const observe::PathPoint& sums = at->second[key.second];
      const auto n = static_cast<double>(sums.tokens);
      ExplainPoint& point = line.points.emplace_back();
      point.site = name_of(at->first);
      point.norm = sums.norm / n;
      for (std::size_t i = 0; i < point.top.size(); ++i) point.top[i] = sums.top[i] / n;
      if (sums.tokens > 1) point.variance = sums.variance();
    }
  }
  std::vector<ExplainPath> lines;
  for (auto& [key, line] : by_group) lines.push_back(std::move(line));
  return lines;
}

void add_sinks(const observe::AttentionMass& mass, ExplainResult& result) {
  std::vector<double> hits, samples;
  for (const auto& [block, heads] : mass.blocks()) {
    result.sinks.push_back(layer_sink(heads, block + 1, result.config));
    for (const HeadMass& head : heads) {
      hits.resize(head.sink_count.size());
      samples.resize(head.sink_count.size());
      for (std::size_t k = 0; k < hits.size(); ++k) {
        hits[k] += static_cast<double>(head.sink_count[k]);
        samples[k] += static_cast<double>(head.alpha_count[k]);
      }
    }
  }
  for (std::size_t k = 0; k < hits.size() && samples[k] > 0; ++k) {
    result.sink_metric.push_back(100.0 * hits[k] / samples[k]);
  }
  if (result.findings.empty()) return;
  // Blocks up to the one that writes the first massive activation, and those that read it.
  int appearance = result.findings.front().finding.first_layer;
  for (const ExplainFinding& finding : result.findings) {
    appearance = std::min(appearance, finding.finding.first_layer);
  }
  result.appearance = appearance;
  const auto last = static_cast<int>(result.config.layers);
  result.before = summary_of(result.sinks, 1, appearance, result.findings);
  result.after = summary_of(result.sinks, appearance + 1, last, result.findings);
}

void add_bias(const observe::AttentionMass& mass, ExplainResult& result) {
  for (const auto& [block, heads] : mass.blocks()) {
    BiasLayer layer = bias_layer(heads, block + 1, result.config);
    const auto chosen = mass.chosen().find(block);
    if (chosen != mass.chosen().end()) {
      layer.massive_tokens = static_cast<double>(chosen->second.tokens) /
                             static_cast<double>(chosen->second.sequences);
    }
    result.bias.push_back(std::move(layer));
  }
}

}  // namespace massact::explain
