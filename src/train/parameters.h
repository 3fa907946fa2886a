// The parameters of a model: named views into one flat buffer, so that the optimiser, gradient
// clipping and the all-reduce each work on one tensor.
#pragma once

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

namespace massact::train {

/// How one parameter is stored and starts. `name` and `shape` are those on disk.
struct ParameterSpec {
  std::string name;
  std::vector<std::int64_t> shape;
  double init_std = 0.0;    // normal(0, init_std)
  double init_value = 0.0;  // added to it (1 for norm weights)

  std::int64_t count() const;
  /// Tensors with at least two dimensions as stored are weight-decayed.
  bool decayed() const { return shape.size() >= 2; }
};

/// Owns values and gradients. Decayed parameters come first in the flat buffers.
class Parameters {
 public:
  /// Draws the initial values on the CPU in float32 from `seed`, in the order of `specs`.
  Parameters(std::vector<ParameterSpec> specs, std::uint64_t seed, at::ScalarType dtype,
             at::Device device);

  /// Leaf tensor that records gradients. Throws Error for an unknown name.
  const at::Tensor& at(const std::string& name) const;
  bool contains(const std::string& name) const { return index_.count(name) != 0; }

  const std::vector<ParameterSpec>& specs() const { return specs_; }
  /// All values and all gradients, without autograd; writing them writes the parameters.
  const at::Tensor& values() const { return values_; }
  const at::Tensor& gradients() const { return gradients_; }
  /// Elements [0, decayed_count()) of the flat buffers are weight-decayed.
  std::int64_t decayed_count() const { return decayed_count_; }
  /// Where `specs()[i]` starts in the flat buffers.
  std::int64_t offset(std::size_t i) const { return offsets_[i]; }

  void zero_gradients() { gradients_.zero_(); }

 private:
  std::vector<ParameterSpec> specs_;
  std::vector<std::int64_t> offsets_;
  std::vector<at::Tensor> tensors_;
  std::unordered_map<std::string, std::size_t> index_;
  std::int64_t decayed_count_ = 0;
  at::Tensor values_;
  at::Tensor gradients_;
};

}  // namespace massact::train
