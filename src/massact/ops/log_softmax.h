// Log-probabilities of the vocabulary.
#pragma once

#include <span>

#include "massact/base/threads.h"
#include "massact/tensor/tensor.h"

namespace massact::ops {

/// log Σ exp of each row, in double; out: [rows].
void log_sum_exp(ConstFloatMatrix logits, std::span<double> out, Threads& threads);

/// Index of the largest element of each row, the first one on ties; out: [rows].
void arg_max(ConstFloatMatrix logits, std::span<std::int32_t> out, Threads& threads);

}  // namespace massact::ops
