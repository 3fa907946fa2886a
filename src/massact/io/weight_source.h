// Where weights come from: named tensors in some file, given lazily.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "massact/tensor/dtype.h"
#include "massact/tensor/shape.h"
#include "massact/tensor/tensor.h"

namespace massact {

struct TensorInfo {
  std::string name;
  /// The element type of `view`. For block-quantised tensors, which have no view, the type of what
  /// `read` gives: f32.
  DType type = DType::f32;
  Shape shape;
  /// Bytes it takes in the file.
  std::uint64_t bytes = 0;
  /// The file format's own name of its encoding: "BF16", "Q4_K", ….
  std::string encoding;
  /// False for block-quantised tensors: only `read` gives their values.
  bool viewable = true;
};

/// Named tensors of one model. Opening validates the whole header, so that no later access can
/// leave the file. All members are thread-safe.
class WeightSource {
 public:
  virtual ~WeightSource() = default;

  /// All tensors, sorted by name.
  virtual const std::vector<TensorInfo>& tensors() const = 0;

  /// What the source is, for people and errors: the file or directory.
  virtual std::string description() const = 0;

  /// Size of all files together.
  virtual std::uint64_t file_bytes() const = 0;

  /// The tensor in mapped memory, valid as long as the source lives. Throws if there is no such
  /// tensor (listing near names) or it is not viewable.
  virtual TensorView view(std::string_view name) const = 0;

  /// Elements [first, first + count) in row-major order as float32, whatever the encoding. Throws
  /// if there is no such tensor, the range leaves it, or the type is not a floating-point one.
  virtual void read(std::string_view name, std::int64_t first, std::int64_t count,
                    float* out) const = 0;

  /// Reads what the tensor is stored in into the system's cache, and waits until it is there.
  virtual void will_need(std::string_view name) const = 0;
  /// The tensor is not needed for now: its memory may go.
  virtual void release(std::string_view name) const = 0;

  /// The tensor's description, or null if there is none of that name.
  const TensorInfo* find(std::string_view name) const;
  /// The tensor's description. Throws an Error that names the source and near names.
  const TensorInfo& info(std::string_view name) const;
};

}  // namespace massact
