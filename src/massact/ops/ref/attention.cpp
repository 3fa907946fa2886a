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

double score(const Head& h, std::int64_t i, std::int64_t j) {
  const AttentionOptions& o = h.options;
  if (o.causal && j > i) return kMasked;
  if (o.window > 0 && i - j >= o.window) return kMasked;
  double s = capped(o.scale * dot(h.q.row(i), h.k.row(j), o.head_size), o.soft_cap);
  if (!o.alibi_slopes.empty()) {
    s += alibi_bias(h, j) - alibi_bias(h, i);
  }
  return s;
}

double slot_score(const Head& h, std::int64_t i) {
  const AttentionOptions& o = h.options;
  if (!o.slot_logit.empty()) return o.slot_logit[static_cast<std::size_t>(h.head)];
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

void head_attention(const Head& h, FloatMatrix z) {
  const AttentionOptions& o = h.options;
  const std::int64_t slots = o.has_slot() ? 1 : 0;
  std::vector<double> p(static_cast<std::size_t>(slots + h.k.rows));
  for (std::int64_t i = 0; i < h.q.rows; ++i) {
    if (slots > 0) p[0] = slot_score(h, i);
    for (std::int64_t j = 0; j < h.k.rows; ++j)
      p[static_cast<std::size_t>(slots + j)] = score(h, i, j);
    to_pattern(p, o);
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

}  // namespace

void attention(ConstFloatMatrix q, ConstFloatMatrix k, ConstFloatMatrix v,
               std::span<const RowRange> sequences, const AttentionOptions& options,
               FloatMatrix z) {
  const std::int64_t c = options.head_size, group = options.heads / options.kv_heads;
  for (const RowRange& rows : sequences) {
    for (std::int64_t head = 0; head < options.heads; ++head) {
      const std::int64_t kv = head / group;
      const auto part = [&](ConstFloatMatrix x, std::int64_t h) {
        return x.slice_rows(rows.first, rows.count).slice_cols(h * c, c);
      };
      head_attention({part(q, head), part(k, kv), part(v, kv), options, head, kv},
                     z.slice_rows(rows.first, rows.count).slice_cols(head * c, c));
    }
  }
}

}  // namespace massact::ops::ref
