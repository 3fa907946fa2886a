#include "massact/observe/attention_mass.h"

#include <algorithm>
#include <cmath>

namespace massact::observe {
namespace {

// What is the same for all heads of a sequence.
struct Sequence {
  const AttentionView& view;
  const AttentionMassOptions& options;
  std::vector<Group> classes;      // [T]
  std::vector<double> queries_of;  // [T] queries that see the key
  std::vector<std::int64_t> sees;  // queries outside C that see C

  std::size_t at(std::int64_t head, std::int64_t position) const {
    return view.sums.at(head, view.rows.first + position);
  }
  bool is_chosen(std::int64_t position) const {
    return view.sums.chosen[static_cast<std::size_t>(view.rows.first + position)] != 0;
  }
};

Sequence prepare(const AttentionView& view, const AttentionMassOptions& options) {
  Sequence s{view, options, {}, {}, {}};
  const std::int64_t count = view.rows.count;
  std::vector<std::int64_t> chosen;
  for (std::int64_t i = 0; i < count; ++i) {
    s.classes.push_back(group_of_class(options.labels->position_class(view.sequence, i)));
    s.queries_of.push_back(static_cast<double>(ops::queries_of_key(view.options, i, count)));
    if (s.is_chosen(i)) chosen.push_back(i);
  }
  for (std::int64_t i = 0; i < count; ++i) {
    const bool visible = std::any_of(chosen.begin(), chosen.end(),
                                     [&](std::int64_t j) { return ops::sees(view.options, i, j); });
    if (visible && !s.is_chosen(i)) s.sees.push_back(i);
  }
  return s;
}

void add_groups(const Sequence& s, std::int64_t head, HeadMass& mass) {
  const ops::AttentionSums& sums = s.view.sums;
  for (std::int64_t j = 0; j < s.view.rows.count; ++j) {
    const std::size_t at = s.at(head, j);
    const auto add = [&](Group group) {
      GroupMass& sum = mass.groups[static_cast<std::size_t>(group)];
      sum.keys += 1;
      sum.probability += sums.column_sums[at];
      sum.score += sums.score_sums[at];
      sum.pairs += s.queries_of[static_cast<std::size_t>(j)];
    };
    add(s.classes[static_cast<std::size_t>(j)]);
    add(s.is_chosen(j) ? Group::massive : Group::rest);
  }
  for (std::size_t n = 0; n < kFirstTokens.size(); ++n) {
    for (std::int64_t j = 0; j < std::min(kFirstTokens[n], s.view.rows.count); ++j) {
      mass.first[n] += sums.column_sums[s.at(head, j)];
    }
  }
  if (sums.slot_weight.empty()) return;
  GroupMass& slot = mass.groups[static_cast<std::size_t>(Group::slot)];
  slot.keys += 1;
  for (std::int64_t i = 0; i < s.view.rows.count; ++i) {
    const auto score = static_cast<double>(sums.slot_score[s.at(head, i)]);
    if (!std::isfinite(score)) continue;  // nothing is padded here
    slot.probability += static_cast<double>(sums.slot_weight[s.at(head, i)]);
    slot.score += score;
    slot.pairs += 1;
  }
}

void add_sinks(const Sequence& s, std::int64_t head, HeadMass& mass) {
  const std::int64_t length = std::min(s.options.length, s.view.rows.count);
  for (std::size_t k = 0; k < kAlphas && static_cast<std::int64_t>(k) < length; ++k) {
    const auto key = static_cast<std::int64_t>(k);
    const std::int64_t queries = s.view.options.causal ? length - key : length;
    const double alpha = s.view.sums.prefix_sums[s.at(head, key)] / static_cast<double>(queries);
    mass.alpha[k] += alpha;
    ++mass.alpha_count[k];
    if (alpha > s.options.epsilon) ++mass.sink_count[k];
  }
}

double norm_of(const float* x, std::int64_t count) {
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i) sum += static_cast<double>(x[i]) * x[i];
  return std::sqrt(sum);
}

// |v′| of the head's group, 0 without a slot or value.
double slot_norm(const ops::AttentionOptions& options, std::int64_t head) {
  if (options.slot_value.empty()) return 0.0;
  const std::int64_t kv = head / (options.heads / options.kv_heads);
  return norm_of(options.slot_value.data() + kv * options.head_size, options.head_size);
}

// Norm shares of the terms of equation 2, and the first term's mean over the queries.
void add_terms(const Sequence& s, std::int64_t head, std::vector<double>& mean, HeadMass& mass) {
  const ops::AttentionOptions& options = s.view.options;
  ops::AttentionSums& sums = s.view.sums;
  const std::int64_t c = options.head_size;
  const std::span<const float> slot_value = options.slot_value;
  const std::int64_t kv = head / (options.heads / options.kv_heads);
  const double slot_length = slot_norm(options, head);
  for (const std::int64_t i : s.sees) {
    const std::int64_t row = s.view.rows.first + i;
    const float* z = s.view.z.row(row) + head * c;
    const float* chosen = sums.output(options).row(row) + head * c;
    const double weight = slot_length > 0 ? sums.slot_weight[s.at(head, i)] : 0.0;
    double chosen_energy = 0, rest_energy = 0, energy = 0;
    for (std::int64_t d = 0; d < c; ++d) {
      const double first = chosen[d], whole = z[d];
      double rest = whole - first;
      if (weight > 0) rest -= weight * slot_value[static_cast<std::size_t>(kv * c + d)];
      chosen_energy += first * first;
      rest_energy += rest * rest;
      energy += whole * whole;
      mean[static_cast<std::size_t>(d)] += first;
    }
    const double norm = std::sqrt(chosen_energy);
    const double all = norm + std::sqrt(rest_energy) + weight * slot_length;
    mass.share += all > 0 ? norm / all : 0.0;
    mass.output_energy += energy;
  }
}

void add_slot_share(const Sequence& s, std::int64_t head, HeadMass& mass) {
  const ops::AttentionOptions& options = s.view.options;
  const double slot_length = slot_norm(options, head);
  if (slot_length == 0) return;
  const std::int64_t c = options.head_size;
  const std::int64_t kv = head / (options.heads / options.kv_heads);
  for (std::int64_t i = 0; i < s.view.rows.count; ++i) {
    const double weight = s.view.sums.slot_weight[s.at(head, i)];
    const float* z = s.view.z.row(s.view.rows.first + i) + head * c;
    double others = 0;
    for (std::int64_t d = 0; d < c; ++d) {
      const double value = options.slot_value[static_cast<std::size_t>(kv * c + d)];
      others += std::pow(z[d] - weight * value, 2);
    }
    const double norm = weight * slot_length, all = norm + std::sqrt(others);
    mass.slot_share += all > 0 ? norm / all : 0.0;
  }
}

void add_bias(const Sequence& s, std::int64_t head, HeadMass& mass) {
  const ops::AttentionOptions& options = s.view.options;
  ops::AttentionSums& sums = s.view.sums;
  const std::int64_t c = options.head_size;
  mass.closure = std::max(
      mass.closure,
      static_cast<double>(
          sums.closure[static_cast<std::size_t>(head * s.view.sequences_in_batch + s.view.index)]));
  add_slot_share(s, head, mass);
  if (s.sees.empty()) return;
  std::vector<double> mean(static_cast<std::size_t>(c));
  add_terms(s, head, mean, mass);
  if (s.view.sequence < s.options.calibration_end) {
    mass.constant.resize(mean.size());
    for (std::size_t d = 0; d < mean.size(); ++d) mass.constant[d] += mean[d];
    mass.constant_queries += std::ssize(s.sees);
  }
  double length = 0;
  mass.mean.resize(mean.size());
  for (std::size_t d = 0; d < mean.size(); ++d) {
    mean[d] /= static_cast<double>(s.sees.size());
    mass.mean[d] += mean[d];
    length += mean[d] * mean[d];
  }
  mass.mean_energy += length;
  length = std::sqrt(length);
  for (const std::int64_t i : s.sees) {
    const float* chosen = sums.output(options).row(s.view.rows.first + i) + head * c;
    const double norm = norm_of(chosen, c);
    if (norm == 0 || length == 0) continue;
    double dot = 0;
    for (std::int64_t d = 0; d < c; ++d) dot += chosen[d] * mean[static_cast<std::size_t>(d)];
    mass.cosine += dot / (norm * length);
    ++mass.cosines;
  }
  mass.bias_queries += std::ssize(s.sees);
  ++mass.bias_sequences;
}

}  // namespace

std::uint64_t attention_mass_bytes(const ModelConfig& config) {
  const std::size_t head =
      sizeof(HeadMass) + 2 * static_cast<std::size_t>(config.head_size) * sizeof(double);
  return static_cast<std::uint64_t>(config.layers * config.heads) * head;
}

void AttentionMass::choose(int block, std::int64_t sequence, std::span<std::uint8_t> positions) {
  for (const std::int64_t position : options_.massive->at(block, sequence)) {
    positions[static_cast<std::size_t>(position)] = 1;
    ++chosen_[block].tokens;
  }
  ++chosen_[block].sequences;
}

void AttentionMass::observe(const AttentionView& view, Threads& threads) {
  auto& heads = blocks_[view.block];
  heads.resize(static_cast<std::size_t>(view.options.heads));
  const Sequence s = prepare(view, options_);
  threads.parallel_for(view.options.heads, [&](std::int64_t head, int) {
    HeadMass& mass = heads[static_cast<std::size_t>(head)];
    mass.queries += static_cast<double>(view.rows.count);
    for (std::int64_t i = 0; i < view.rows.count; ++i) {
      mass.entropy += static_cast<double>(view.sums.entropy[s.at(head, i)]);
    }
    add_groups(s, head, mass);
    add_sinks(s, head, mass);
    add_bias(s, head, mass);
  });
}

}  // namespace massact::observe
