// What the CPU's multipliers can do at most: the yardstick of benchmarks.
#pragma once

#include "massact/base/threads.h"
#include "massact/ops/matmul.h"

namespace massact::ops {

/// Measured FLOP/s of products of registers only, all threads together, best of a few runs of some
/// milliseconds: AMX or VDPBF16PS for bf16 where they are used, fused multiply-add in f32
/// otherwise.
double register_peak(Precision precision, Threads& threads);

}  // namespace massact::ops
