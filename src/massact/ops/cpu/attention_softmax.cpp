// From scores to weights: the pointwise part of attention.
#include <algorithm>
#include <cmath>
#include <limits>

#include "massact/ops/cpu/attention_kernel.h"
#include "massact/ops/cpu/features.h"  // its cap is applied before the first dispatch

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "massact/ops/cpu/attention_softmax.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <hwy/contrib/math/math-inl.h>  // after highway.h

#include "massact/ops/cpu/exp-inl.h"

HWY_BEFORE_NAMESPACE();
namespace massact::ops::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;
constexpr float kMasked = -std::numeric_limits<float>::infinity();

HWY_INLINE std::int64_t lane_count() { return static_cast<std::int64_t>(hn::Lanes(D())); }

// σ without overflow on either side.
HWY_INLINE V sigmoid(V x) {
  const D d;
  const V one = hn::Set(d, 1.0f);
  const V e = exp_nonpositive(d, hn::Neg(hn::Abs(x)));
  return hn::Div(hn::IfThenElse(hn::Lt(x, hn::Zero(d)), e, one), hn::Add(one, e));
}

// Rounds to the nearest bf16, ties to even (finite values).
HWY_INLINE V rounded_to_bf16(V x) {
  const D d;
  const hn::RebindToUnsigned<D> du;
  const auto bits = hn::BitCast(du, x);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1u));
  const auto carried = hn::Add(bits, hn::Add(odd, hn::Set(du, 0x7FFFu)));
  return hn::BitCast(d, hn::And(carried, hn::Set(du, 0xFFFF0000u)));
}

// b(t) of AttentionOptions.
HWY_INLINE V alibi_bias(V t, V slope, V factor, bool in_bf16) {
  if (!in_bf16) return hn::Mul(hn::Mul(factor, slope), t);
  return hn::Mul(factor, rounded_to_bf16(hn::Mul(slope, rounded_to_bf16(t))));
}

// Soft cap and ALiBi on columns [first, last) of the row of `query`, whose column 0 is `first_key`.
void adjust_row(float* s, Columns columns, const AttentionOptions& options, float slope,
                std::int64_t first_key, std::int64_t query) {
  const D d;
  if (options.soft_cap > 0) {
    const V cap = hn::Set(d, options.soft_cap), inverse = hn::Set(d, 1.0f / options.soft_cap);
    for (std::int64_t j = columns.first; j < columns.last; j += lane_count()) {
      hn::Store(hn::Mul(cap, hn::Tanh(d, hn::Mul(hn::Load(d, s + j), inverse))), d, s + j);
    }
  }
  if (slope != 0) {
    const V slope_v = hn::Set(d, slope), factor = hn::Set(d, options.alibi_factor);
    const auto bias = [&](V t) HWY_ATTR {
      return alibi_bias(t, slope_v, factor, options.alibi_in_bf16);
    };
    const V own = bias(hn::Set(d, static_cast<float>(query)));
    for (std::int64_t j = columns.first; j < columns.last; j += lane_count()) {
      const V keys = hn::Iota(d, static_cast<float>(first_key + j));
      hn::Store(hn::Add(hn::Load(d, s + j), hn::Sub(bias(keys), own)), d, s + j);
    }
  }
}

// The bias of key (y, x) is that of its row plus that of its column; only columns that are keys.
void add_grid_bias(float* s, Columns columns, const BlockBias& bias, std::int64_t r,
                   std::int64_t first_key) {
  if (bias.rows == nullptr) return;
  const D d;
  const float* of_rows = bias.rows + r * bias.row_stride;
  const float* of_columns = bias.columns + r * bias.column_stride;
  std::int64_t j = columns.first;
  std::int64_t y = (first_key + j) / bias.grid_columns, x = (first_key + j) % bias.grid_columns;
  for (; j < columns.last; ++y, x = 0) {
    const std::int64_t end = std::min(columns.last, j + bias.grid_columns - x);
    const V row = hn::Set(d, of_rows[y]);
    for (; j + lane_count() <= end; j += lane_count(), x += lane_count()) {
      const V both = hn::Add(row, hn::LoadU(d, of_columns + x));
      hn::StoreU(hn::Add(hn::LoadU(d, s + j), both), d, s + j);
    }
    for (; j < end; ++j, ++x) s[j] += of_rows[y] + of_columns[x];
  }
}

HWY_INLINE float aligned_max(const float* s, Columns columns) {
  const D d;
  V max = hn::Set(d, kMasked);
  for (std::int64_t j = columns.first; j < columns.last; j += lane_count()) {
    max = hn::Max(hn::Load(d, s + j), max);
  }
  return hn::GetLane(hn::MaxOfLanes(d, max));
}

// s = e^(s - shift); returns the sum.
HWY_INLINE float aligned_exp(float* s, Columns columns, float shift) {
  const D d;
  const V shift_v = hn::Set(d, shift);
  V sum = hn::Zero(d);
  for (std::int64_t j = columns.first; j < columns.last; j += lane_count()) {
    const V p = exp_nonpositive(d, hn::Sub(hn::Load(d, s + j), shift_v));
    sum = hn::Add(sum, p);
    hn::Store(p, d, s + j);
  }
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

// s = clip((η - γ) e^(s - shift) / sum + γ, 0, 1).
HWY_INLINE void aligned_clipped(float* s, Columns columns, float shift, float sum,
                                const AttentionOptions& options) {
  const D d;
  const V factor = hn::Set(d, (options.clip_eta - options.clip_gamma) / sum);
  const V gamma = hn::Set(d, options.clip_gamma), shift_v = hn::Set(d, shift);
  for (std::int64_t j = columns.first; j < columns.last; j += lane_count()) {
    const V p = exp_nonpositive(d, hn::Sub(hn::Load(d, s + j), shift_v));
    const V stretched = hn::MulAdd(factor, p, gamma);
    hn::Store(hn::Min(hn::Set(d, 1.0f), hn::Max(hn::Zero(d), stretched)), d, s + j);
  }
}

HWY_INLINE void weigh_row(const ScoreBlock& block, std::int64_t r, float* s, Columns columns,
                          const AttentionOptions& options, ScoreMode mode) {
  const D d;
  float& maximum = block.maximum[r];
  switch (mode) {
    case ScoreMode::sigmoid:
      for (std::int64_t j = columns.first; j < columns.last; j += lane_count()) {
        hn::Store(sigmoid(hn::Load(d, s + j)), d, s + j);
      }
      return;
    case ScoreMode::clipped:
      // A sum of 0: nothing is visible but -inf, whose weight is 0.
      if (block.sum[r] == 0) {
        std::fill(s + columns.first, s + columns.last, 0.0f);
      } else {
        aligned_clipped(s, columns, maximum, block.sum[r], options);
      }
      return;
    case ScoreMode::online:
    case ScoreMode::statistics:
      break;
  }
  const float before = maximum;
  maximum = std::max(before, aligned_max(s, columns));
  // All visible scores are -inf so far: subtract 0, so that the weights are 0 and not NaN.
  const float shift = maximum == kMasked ? 0.0f : maximum;
  const float correction = before == maximum ? 1.0f : std::exp(before - maximum);
  block.correction[r] = correction;
  block.sum[r] = block.sum[r] * correction + aligned_exp(s, columns, shift);
}

// A row's visible columns in the block, and whole steps around them.
struct RowColumns {
  RowColumns(const ScoreBlock& block, const AttentionOptions& options, std::int64_t query) {
    const VisibleKeys keys = visible_keys(options, query, block.key_count);
    const auto column = [&](std::int64_t key) {
      return std::clamp(key - block.first_key, block.columns.first, block.columns.last);
    };
    visible = {column(keys.first), column(keys.last)};
    steps = {visible.first / kWeightStep * kWeightStep,
             (visible.last + kWeightStep - 1) / kWeightStep * kWeightStep};
  }
  Columns visible, steps;
};

void WeighScores(const ScoreBlock& block, const AttentionOptions& options, ScoreMode mode) {
  for (std::int64_t r = 0; r < block.rows; ++r) {
    float* s = block.scores + r * kKeyTile;
    const std::int64_t query = block.first_query + r;
    // Whole steps around the visible columns are computed, the rest is known to be 0.
    const auto [visible, steps] = RowColumns(block, options, query);
    block.correction[r] = 1.0f;
    if (visible.first >= visible.last) {
      std::fill(s + block.columns.first, s + block.columns.last, 0.0f);
      continue;
    }
    adjust_row(s, steps, options, block.alibi_slope, block.first_key, query);
    add_grid_bias(s, visible, block.bias, r, block.first_key);
    std::fill(s + steps.first, s + visible.first, kMasked);
    std::fill(s + visible.last, s + steps.last, kMasked);
    weigh_row(block, r, s, steps, options, mode);
    std::fill(s + block.columns.first, s + steps.first, 0.0f);
    std::fill(s + steps.last, s + block.columns.last, 0.0f);
  }
}

// One row of SumScores: scores in `steps` become weights, and are added to the sums.
HWY_INLINE void sum_row(float* s, Columns steps, float shift, float factor, ScoreMode mode,
                        const AttentionOptions& options, float* column_sums, float* score_sums,
                        float& weighted_score) {
  const D d;
  const V zero = hn::Zero(d), one = hn::Set(d, 1.0f), masked = hn::Set(d, kMasked);
  const V shift_v = hn::Set(d, shift), factor_v = hn::Set(d, factor);
  const V gamma = hn::Set(d, options.clip_gamma);
  const bool stretched = options.clip_gamma != 0.0f || options.clip_eta != 1.0f;
  V weighted = zero;
  for (std::int64_t j = steps.first; j < steps.last; j += lane_count()) {
    const V score = hn::Load(d, s + j);
    const auto seen = hn::Gt(score, masked);
    V weight;
    if (mode == ScoreMode::sigmoid) {
      weight = sigmoid(score);
    } else {
      weight = hn::Mul(factor_v, exp_nonpositive(d, hn::Sub(score, shift_v)));
      if (stretched) weight = hn::Min(one, hn::Max(zero, hn::Add(weight, gamma)));
    }
    hn::Store(weight, d, s + j);
    hn::Store(hn::Add(hn::Load(d, column_sums + j), weight), d, column_sums + j);
    const V finite = hn::IfThenElseZero(seen, score);
    hn::Store(hn::Add(hn::Load(d, score_sums + j), finite), d, score_sums + j);
    weighted = hn::MulAdd(weight, finite, weighted);
  }
  weighted_score += hn::GetLane(hn::SumOfLanes(d, weighted));
}

void SumScores(const ScoreBlock& block, const AttentionOptions& options, ScoreMode mode,
               const BlockSums& sums) {
  for (std::int64_t r = 0; r < block.rows; ++r) {
    float* s = block.scores + r * kKeyTile;
    const std::int64_t query = block.first_query + r;
    const auto [visible, steps] = RowColumns(block, options, query);
    if (visible.first >= visible.last) {
      std::fill(s + block.columns.first, s + block.columns.last, 0.0f);
      continue;
    }
    adjust_row(s, steps, options, block.alibi_slope, block.first_key, query);
    add_grid_bias(s, visible, block.bias, r, block.first_key);
    std::fill(s + steps.first, s + visible.first, kMasked);
    std::fill(s + visible.last, s + steps.last, kMasked);
    // A sum of 0: nothing is visible but -inf, whose weight is 0.
    const float factor =
        block.sum[r] == 0 ? 0.0f : (options.clip_eta - options.clip_gamma) / block.sum[r];
    const float shift = block.maximum[r] == kMasked ? 0.0f : block.maximum[r];
    sum_row(s, steps, shift, factor, mode, options,
            r < sums.prefix_rows ? sums.prefix : sums.columns, sums.scores,
            sums.weighted_scores[r]);
    std::fill(s + block.columns.first, s + steps.first, 0.0f);
    std::fill(s + steps.last, s + block.columns.last, 0.0f);
  }
}

// ---- single rows of any length and alignment ----

HWY_INLINE void for_each_vector(std::int64_t count, float* x, auto&& function) {
  const D d;
  const std::int64_t lanes = lane_count();
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) hn::StoreU(function(hn::LoadU(d, x + i)), d, x + i);
  if (i == count) return;
  HWY_ALIGN float buffer[hn::MaxLanes(D())] = {};
  std::copy(x + i, x + count, buffer);
  hn::Store(function(hn::Load(d, buffer)), d, buffer);
  std::copy_n(buffer, count - i, x + i);
}

double ExpRow(float* x, std::int64_t count, float shift) {
  const D d;
  const V shift_v = hn::Set(d, shift);
  for_each_vector(count, x, [&](V v) HWY_ATTR { return exp_nonpositive(d, hn::Sub(v, shift_v)); });
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i) sum += static_cast<double>(x[i]);
  return sum;
}

void SigmoidRow(float* x, std::int64_t count) {
  for_each_vector(count, x, [](V v) HWY_ATTR { return sigmoid(v); });
}

// Written out: the compiler would have to expect that x and out overlap.
void ScaleRow(const float* x, float factor, std::int64_t cols, float* out) {
  const D d;
  const V factor_v = hn::Set(d, factor);
  std::int64_t c = 0;
  for (; c + lane_count() <= cols; c += lane_count()) {
    hn::StoreU(hn::Mul(hn::LoadU(d, x + c), factor_v), d, out + c);
  }
  for (; c < cols; ++c) out[c] = x[c] * factor;
}

void AddScaledRow(const float* x, float weight, std::int64_t cols, float* out) {
  for (std::int64_t c = 0; c < cols; ++c) out[c] += weight * x[c];
}

float MaxRow(const float* x, std::int64_t count) {
  const D d;
  const std::int64_t lanes = lane_count();
  V max = hn::Set(d, kMasked);
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) max = hn::Max(hn::LoadU(d, x + i), max);
  float result = hn::GetLane(hn::MaxOfLanes(d, max));
  for (; i < count; ++i) result = std::max(result, x[i]);
  return result;
}

float Dot(const float* a, const float* b, std::int64_t count) {
  const D d;
  const std::int64_t lanes = lane_count();
  V sum0 = hn::Zero(d), sum1 = sum0;
  std::int64_t i = 0;
  for (; i + 2 * lanes <= count; i += 2 * lanes) {
    sum0 = hn::MulAdd(hn::LoadU(d, a + i), hn::LoadU(d, b + i), sum0);
    sum1 = hn::MulAdd(hn::LoadU(d, a + i + lanes), hn::LoadU(d, b + i + lanes), sum1);
  }
  float sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(sum0, sum1)));
  for (; i < count; ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace HWY_NAMESPACE
}  // namespace massact::ops::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace massact::ops::cpu {

HWY_EXPORT(WeighScores);
HWY_EXPORT(SumScores);
HWY_EXPORT(ExpRow);
HWY_EXPORT(SigmoidRow);
HWY_EXPORT(ScaleRow);
HWY_EXPORT(AddScaledRow);
HWY_EXPORT(MaxRow);
HWY_EXPORT(Dot);

void weigh_scores(const ScoreBlock& block, const AttentionOptions& options, ScoreMode mode) {
  HWY_DYNAMIC_DISPATCH(WeighScores)(block, options, mode);
}

void sum_scores(const ScoreBlock& block, const AttentionOptions& options, ScoreMode mode,
                const BlockSums& sums) {
  HWY_DYNAMIC_DISPATCH(SumScores)(block, options, mode, sums);
}

double exp_row(float* x, std::int64_t count, float shift) {
  return HWY_DYNAMIC_DISPATCH(ExpRow)(x, count, shift);
}

void sigmoid_row(float* x, std::int64_t count) { HWY_DYNAMIC_DISPATCH(SigmoidRow)(x, count); }

void scale_row(const float* x, float factor, std::int64_t cols, float* out) {
  HWY_DYNAMIC_DISPATCH(ScaleRow)(x, factor, cols, out);
}

void add_scaled_row(const float* x, float weight, std::int64_t cols, float* out) {
  HWY_DYNAMIC_DISPATCH(AddScaledRow)(x, weight, cols, out);
}

float max_row(const float* x, std::int64_t count) { return HWY_DYNAMIC_DISPATCH(MaxRow)(x, count); }

float dot(const float* a, const float* b, std::int64_t count) {
  return HWY_DYNAMIC_DISPATCH(Dot)(a, b, count);
}

}  // namespace massact::ops::cpu
#endif
