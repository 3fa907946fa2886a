// NumPy's .npy files, as far as token ids and result arrays need them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "massact/tensor/shape.h"

namespace massact {

struct IntegerArray {
  std::vector<std::int64_t> values;
  Shape shape;
};

/// Reads a 1-D or 2-D C-ordered array of any little-endian integer type. Versions 1 to 3. Throws
/// Error for other types and for a file whose size is not what its header says.
IntegerArray read_npy_integers(const std::filesystem::path& path);

struct FloatArray {
  std::vector<float> values;
  Shape shape;
};

/// The same for little-endian float32.
FloatArray read_npy_floats(const std::filesystem::path& path);

/// Writes a C-ordered array, atomically. The shape's product must be the number of values.
void write_npy(const std::filesystem::path& path, const Shape& shape,
               std::span<const float> values);
void write_npy(const std::filesystem::path& path, const Shape& shape,
               std::span<const std::int64_t> values);

}  // namespace massact
