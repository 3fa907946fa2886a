#pragma once

#include <span>

#include "massact/ops/attention_sums.h"
#include "massact/ops/cpu/attention_kernel.h"

namespace massact::ops::cpu {

/// Tiled attention with an online softmax; see ops::attention. Arguments are already checked.
/// `sums`: null, or prepared for these arguments.
void tiled_attention(ConstFloatMatrix q, ConstFloatMatrix k, ConstFloatMatrix v,
                     std::span<const RowRange> sequences, const AttentionOptions& options,
                     const AttentionKernel& kernel, FloatMatrix z, AttentionSums* sums,
                     Threads& threads);

/// Bytes that a thread keeps between calls.
std::uint64_t tile_memory_bytes(std::int64_t head_size);

}  // namespace massact::ops::cpu
