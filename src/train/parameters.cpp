#include "train/parameters.h"

#include <ATen/CPUGeneratorImpl.h>

#include <utility>

#include "massact/base/error.h"

namespace massact::train {

std::int64_t ParameterSpec::count() const {
  std::int64_t n = 1;
  for (const std::int64_t size : shape) n *= size;
  return n;
}

Parameters::Parameters(std::vector<ParameterSpec> specs, std::uint64_t seed, at::ScalarType dtype,
                       at::Device device)
    : specs_(std::move(specs)), offsets_(specs_.size()), tensors_(specs_.size()) {
  std::int64_t total = 0;
  for (const bool decayed : {true, false}) {
    for (std::size_t i = 0; i < specs_.size(); ++i) {
      if (specs_[i].decayed() != decayed) continue;
      offsets_[i] = total;
      total += specs_[i].count();
    }
    if (decayed) decayed_count_ = total;
  }
  at::Generator generator = at::detail::createCPUGenerator(seed);
  at::Tensor initial = at::zeros({total}, at::kFloat);
  for (std::size_t i = 0; i < specs_.size(); ++i) {
    at::Tensor part = initial.narrow(0, offsets_[i], specs_[i].count());
    if (specs_[i].init_std > 0) part.normal_(0.0, specs_[i].init_std, generator);
    part.add_(specs_[i].init_value);
  }
  values_ = initial.to(device, dtype);
  gradients_ = at::zeros_like(values_);
  for (std::size_t i = 0; i < specs_.size(); ++i) {
    const auto& spec = specs_[i];
    tensors_[i] = values_.narrow(0, offsets_[i], spec.count()).view(spec.shape).detach();
    tensors_[i].set_requires_grad(true);
    tensors_[i].mutable_grad() = gradients_.narrow(0, offsets_[i], spec.count()).view(spec.shape);
    require(index_.emplace(spec.name, i).second, spec.name, "expected one parameter of this name");
  }
}

const at::Tensor& Parameters::at(const std::string& name) const {
  const auto found = index_.find(name);
  require(found != index_.end(), name, "expected a parameter of this model, got an unknown name");
  return tensors_[found->second];
}

}  // namespace massact::train
