#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "massact/ops/ref/ops.h"

namespace massact::ops::ref {
namespace {

constexpr double kMasked = -std::numeric_limits<double>::infinity();

// One sequence, one head.
struct Head {
  ConstFloatMatrix q, k, v;  // [T, c]
  const AttentionOptions& options;
  std::int64_t head, kv_head;
  std::int64_t first;  // the batch row of the sequence's first token
};

double dot(const float* a, const float* b, std::int64_t count) {
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

double capped(double score, double cap) { return cap > 0 ? cap * std::tanh(score / cap) : score; }

// b(t) of AttentionOptions.
double alibi_bias(const Head& h, std::int64_t t) {
  const AttentionOptions& o = h.options;
  const float slope = o.alibi_slopes[static_cast<std::size_t>(h.head)];
  const auto position = static_cast<float>(t);
  if (!o.alibi_in_bf16) return static_cast<double>(o.alibi_factor) * slope * position;
  const float rounded = to_float(to_bfloat16(slope * to_float(to_bfloat16(position))));
  return static_cast<double>(o.alibi_factor) * rounded;
}

// What the key at (y, x) of its window gets, and whether query i is in that window.
double grid_bias(const Head& h, std::int64_t i, std::int64_t j) {
  const GridOptions& grid = h.options.grid;
  std::int64_t y = j / grid.columns, x = j % grid.columns;
  if (grid.window > 0) {
    if (i / grid.columns / grid.window != y / grid.window) return kMasked;
    if (i % grid.columns / grid.window != x / grid.window) return kMasked;
    y %= grid.window;
    x %= grid.window;
  }
  if (grid.row_bias.data == nullptr) return 0;
  const std::int64_t n = grid.row_bias.cols / h.options.heads;
  const std::int64_t m = grid.column_bias.cols / h.options.heads;
  return static_cast<double>(grid.row_bias(h.first + i, h.head * n + y)) +
         grid.column_bias(h.first + i, h.head * m + x);
}

double score(const Head& h, std::int64_t i, std::int64_t j) {
  const AttentionOptions& o = h.options;
  if (o.causal && j > i) return kMasked;
  if (o.window > 0 && i - j >= o.window) return kMasked;
  double s = capped(o.scale * dot(h.q.row(i), h.k.row(j), o.head_size), o.soft_cap);
  if (!o.alibi_slopes.empty()) {
    s += alibi_bias(h, j) - alibi_bias(h, i);
  }
  if (o.grid.columns > 0) s += grid_bias(h, i, j);
  return s;
}

double slot_score(const Head& h, std::int64_t i) {
  const AttentionOptions& o = h.options;
  if (!o.slot_logit.empty()) return o.slot_logit[static_cast<std::size_t>(h.head)];
  if (o.slot_logits.data != nullptr) return o.slot_logits(h.first + i, h.head);
  const float* key = o.slot_key.data() + h.kv_head * o.head_size;
  return capped(o.scale * dot(h.q.row(i), key, o.head_size), o.soft_cap);
}

void to_pattern(std::vector<double>& s, const AttentionOptions& o) {
  if (o.kind == AttentionKind::sigmoid) {
    for (double& x : s) x = 1 / (1 + std::exp(-x));
    return;
  }
  const double max = *std::max_element(s.begin(), s.end());
  if (max == kMasked) {
    std::fill(s.begin(), s.end(), 0.0);
    return;
  }
  double sum = 0;
  for (double& x : s) sum += x = std::exp(x - max);
  for (double& x : s) {
    x = std::clamp((static_cast<double>(o.clip_eta) - o.clip_gamma) * (x / sum) + o.clip_gamma, 0.0,
                   1.0);
  }
}

// What one query's row of scores and probabilities adds to the sums. `first`: the batch row of the
// sequence's first token.
void add_to_sums(const Head& h, std::int64_t i, std::int64_t first, std::span<const double> scores,
                 std::span<const double> p, AttentionSums& sums) {
  const AttentionOptions& o = h.options;
  const std::size_t slots = o.has_slot() ? 1 : 0;
  const std::size_t own = sums.at(h.head, first + i);
  const bool plain = o.kind == AttentionKind::softmax && o.clip_gamma == 0 && o.clip_eta == 1;
  double entropy = 0, weight = 0;
  for (std::size_t j = 0; j < p.size(); ++j) {
    if (plain && p[j] > 0) entropy -= p[j] * std::log(p[j]);
    if (j < slots) {
      sums.slot_weight[own] = static_cast<float>(p[j]);
      sums.slot_score[own] = static_cast<float>(scores[j]);
      continue;
    }
    const std::int64_t key = static_cast<std::int64_t>(j - slots);
    const std::size_t at = sums.at(h.head, first + key);
    sums.column_sums[at] += p[j];
    if (i < sums.prefix) sums.prefix_sums[at] += p[j];
    if (scores[j] > kMasked) sums.score_sums[at] += scores[j];
    if (sums.chosen.empty() || sums.chosen[static_cast<std::size_t>(first + key)] == 0) continue;
    weight += p[j];
    float* out = sums.output(o).row(first + i) + h.head * o.head_size;
    for (std::int64_t c = 0; c < o.head_size; ++c) {
      out[c] = static_cast<float>(out[c] + p[j] * h.v(key, c));
    }
  }
  sums.entropy[own] = static_cast<float>(entropy);
  sums.chosen_weight[own] = static_cast<float>(weight);
}

void head_attention(const Head& h, std::int64_t first, FloatMatrix z, AttentionSums* sums) {
  const AttentionOptions& o = h.options;
  const std::int64_t slots = o.has_slot() ? 1 : 0;
  std::vector<double> p(static_cast<std::size_t>(slots + h.k.rows));
  for (std::int64_t i = 0; i < h.q.rows; ++i) {
    if (slots > 0) p[0] = slot_score(h, i);
    for (std::int64_t j = 0; j < h.k.rows; ++j)
      p[static_cast<std::size_t>(slots + j)] = score(h, i, j);
    const std::vector<double> scores = p;
    to_pattern(p, o);
    if (sums != nullptr) add_to_sums(h, i, first, scores, p, *sums);
    for (std::int64_t c = 0; c < o.head_size; ++c) {
      double sum = 0;
      if (slots > 0 && !o.slot_value.empty()) {
        sum += p[0] * o.slot_value[static_cast<std::size_t>(h.kv_head * o.head_size + c)];
      }
      for (std::int64_t j = 0; j < h.v.rows; ++j) {
        sum += p[static_cast<std::size_t>(slots + j)] * h.v(j, c);
      }
      z(i, c) = static_cast<float>(sum);
    }
  }
}

void run_attention(ConstFloatMatrix q, ConstFloatMatrix k, ConstFloatMatrix v,
                   std::span<const RowRange> sequences, const AttentionOptions& options,
                   FloatMatrix z, AttentionSums* sums) {
  const std::int64_t c = options.head_size, group = options.heads / options.kv_heads;
  if (sums != nullptr) sums->prepare(q.rows, std::ssize(sequences), options);
  for (const RowRange& rows : sequences) {
    for (std::int64_t head = 0; head < options.heads; ++head) {
      const std::int64_t kv = head / group;
      const auto part = [&](ConstFloatMatrix x, std::int64_t h) {
        return x.slice_rows(rows.first, rows.count).slice_cols(h * c, c);
      };
      head_attention({part(q, head), part(k, kv), part(v, kv), options, head, kv, rows.first},
                     rows.first, z.slice_rows(rows.first, rows.count).slice_cols(head * c, c),
                     sums);
    }
  }
}

}  // namespace

void attention(ConstFloatMatrix q, ConstFloatMatrix k, ConstFloatMatrix v,
               std::span<const RowRange> sequences, const AttentionOptions& options,
               FloatMatrix z) {
  run_attention(q, k, v, sequences, options, z, nullptr);
}

void attention(ConstFloatMatrix q, ConstFloatMatrix k, ConstFloatMatrix v,
               std::span<const RowRange> sequences, const AttentionOptions& options, FloatMatrix z,
               AttentionSums& sums) {
  run_attention(q, k, v, sequences, options, z, &sums);
}

}  // namespace massact::ops::ref
