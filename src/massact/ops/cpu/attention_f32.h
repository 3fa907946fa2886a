#pragma once

#include <memory>

#include "massact/ops/cpu/attention_kernel.h"

namespace massact::ops::cpu {

/// The f32 kernel, for any head size on any CPU.
std::unique_ptr<const AttentionKernel> attention_kernel_f32(std::int64_t head_size);

}  // namespace massact::ops::cpu
