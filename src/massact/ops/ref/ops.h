// The operations as plain loops with double accumulation: the definition of truth for the tests.
// Contracts are those of the headers in massact/ops, without threads.
#pragma once

#include <span>

#include "massact/ops/activation.h"
#include "massact/ops/attention_sums.h"
#include "massact/ops/norm.h"
#include "massact/ops/rope.h"

namespace massact::ops::ref {

/// y = x · wᵀ with w [n, k] in plain f32.
void matmul(ConstFloatMatrix x, ConstFloatMatrix w, FloatMatrix y);

void norm(ConstFloatMatrix x, const NormOptions& options, const NormOutputs& outputs);
void norm_affine(ConstFloatMatrix normalized, const NormOptions& options, FloatMatrix out);
void rope(FloatMatrix x, std::int64_t heads, std::int64_t head_size, const RopeTable& table,
          RopeStyle style, std::int64_t first_position);

/// f(x) of one element.
double activate(double x, Activation f);
void activate(ConstFloatMatrix x, Activation f, FloatMatrix out);
void activate_gated(ConstFloatMatrix gate, ConstFloatMatrix up, Activation f, FloatMatrix out);

void log_sum_exp(ConstFloatMatrix logits, std::span<double> out);
void arg_max(ConstFloatMatrix logits, std::span<std::int32_t> out);

void attention(ConstFloatMatrix q, ConstFloatMatrix k, ConstFloatMatrix v,
               std::span<const RowRange> sequences, const AttentionOptions& options, FloatMatrix z);
/// `sums` from whole rows of probabilities, its closure left at 0.
void attention(ConstFloatMatrix q, ConstFloatMatrix k, ConstFloatMatrix v,
               std::span<const RowRange> sequences, const AttentionOptions& options, FloatMatrix z,
               AttentionSums& sums);

}  // namespace massact::ops::ref
