// Weights from a file's memory into dense rows, whatever their type and direction.
#pragma once

#include <cstdint>
#include <span>

#include "massact/ops/matmul.h"

namespace massact::ops::cpu {

/// Rows [first, first + count) of the stacked `slices`, each of `in` elements, as f32.
void read_weight_rows(std::span<const WeightSlice> slices, std::int64_t first, std::int64_t count,
                      float* out);

/// The same as bf16 bits (rounded to nearest even where the source is wider).
void read_weight_rows(std::span<const WeightSlice> slices, std::int64_t first, std::int64_t count,
                      std::uint16_t* out);

}  // namespace massact::ops::cpu
