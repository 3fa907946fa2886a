#pragma once

#include <span>

#include "massact/ops/cpu/attention_kernel.h"

namespace massact::ops::cpu {

/// Tiled attention with an online softmax; see ops::attention. Arguments are already checked.
void tiled_attention(ConstFloatMatrix q, ConstFloatMatrix k, ConstFloatMatrix v,
                     std::span<const RowRange> sequences, const AttentionOptions& options,
                     const AttentionKernel& kernel, FloatMatrix z, Threads& threads);

}  // namespace massact::ops::cpu
