// A model's weights with some elements multiplied.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "massact/model/model.h"

namespace massact::edit {

/// Elements [first, first + count) of a tensor, in row-major order: each element + `offset` is
/// multiplied by `factor`; 0 gives 0 whatever the element is.
struct ScaledElements {
  std::int64_t first = 0, count = 0;
  double factor = 1.0;
  double offset = 0.0;   ///< what the weight is more than its element in the file
  std::size_t edit = 0;  ///< who asks for it, for errors
};

/// By the tensor's name in the file: ascending, without overlap.
using ScaledTensors = std::map<std::string, std::vector<ScaledElements>, std::less<>>;

/// The tensors of a model's source, with those of `scaled` changed whenever they are read: they
/// cannot be viewed, take no memory of their own, and may be encoded in the file. Elements of F16
/// and BF16 are rounded to their type again. Keeps `base` alive.
class ScaledWeights final : public WeightSource {
 public:
  ScaledWeights(Model base, ScaledTensors scaled);

  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  std::string description() const override { return source().description(); }
  std::uint64_t file_bytes() const override { return source().file_bytes(); }
  TensorView view(std::string_view name) const override;
  void read(std::string_view name, std::int64_t first, std::int64_t count,
            float* out) const override;
  void will_need(std::string_view name) const override { source().will_need(name); }
  void release(std::string_view name) const override { source().release(name); }

 private:
  const WeightSource& source() const { return base_.weights().source(); }

  Model base_;
  ScaledTensors scaled_;
  std::vector<TensorInfo> tensors_;
};

}  // namespace massact::edit
