// What the threads that work on products and attention keep for themselves between calls.
#pragma once

#include <cstdint>

#include "massact/ops/precision.h"

namespace massact::ops {

/// A matrix [n, k] as large as any that is packed and multiplied, in bytes per thread. `decoded`: a
/// file holds weights in an encoding of its own, which become f32 on their way.
std::uint64_t matmul_thread_bytes(std::int64_t n, std::int64_t k, Precision precision,
                                  bool decoded);

/// Attention with heads of this size, in bytes per thread.
std::uint64_t attention_thread_bytes(std::int64_t head_size);

}  // namespace massact::ops
