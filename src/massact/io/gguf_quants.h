// The tensor types of GGUF and the meaning of their blocks.
// Layouts: ggml's block structures; values equal those of the `gguf` Python package bit for bit.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "massact/tensor/dtype.h"

namespace massact {

/// Elements of the largest block of any type.
inline constexpr int kMaxGgufBlock = 256;

struct GgufType {
  std::uint32_t id;
  std::string_view name;  // "Q4_K"
  int block_elements;
  int block_bytes;
  /// The element type of plain types; f32 for block-quantised ones.
  DType plain;
  /// Gives the `block_elements` values of the block at `block`. Null for plain types.
  void (*dequantize)(const std::uint8_t* block, float* values);
};

/// All types that can be read.
std::span<const GgufType> gguf_types();

/// The type with this number in the file, or null if it cannot be read.
const GgufType* find_gguf_type(std::uint32_t id);

}  // namespace massact
