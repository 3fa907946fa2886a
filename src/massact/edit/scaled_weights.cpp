#include "massact/edit/scaled_weights.h"

#include <algorithm>

#include "massact/base/error.h"

namespace massact::edit {
namespace {

float rounded_to(DType type, float value) {
  if (type == DType::bf16) return to_float(to_bfloat16(value));
  if (type == DType::f16) return to_float(to_float16(value));
  return value;
}

}  // namespace

ScaledWeights::ScaledWeights(Model base, ScaledTensors scaled)
    : base_(std::move(base)), scaled_(std::move(scaled)), tensors_(source().tensors()) {
  for (TensorInfo& tensor : tensors_) {
    if (!scaled_.contains(tensor.name)) continue;
    tensor.viewable = false;
    tensor.type = DType::f32;
  }
}

TensorView ScaledWeights::view(std::string_view name) const {
  require(!scaled_.contains(name), name,
          "expected a tensor as it is in the file, got an edited one");
  return source().view(name);
}

void ScaledWeights::read(std::string_view name, std::int64_t first, std::int64_t count,
                         float* out) const {
  source().read(name, first, count, out);
  const auto tensor = scaled_.find(name);
  if (tensor == scaled_.end()) return;
  const std::vector<ScaledElements>& runs = tensor->second;
  const DType type = source().info(name).type;
  auto run = std::upper_bound(
      runs.begin(), runs.end(), first,
      [](std::int64_t at, const ScaledElements& next) { return at < next.first + next.count; });
  for (; run != runs.end() && run->first < first + count; ++run) {
    const std::int64_t begin = std::max(first, run->first);
    const std::int64_t end = std::min(first + count, run->first + run->count);
    const double shift = run->offset * (run->factor - 1.0);  // exactly 0 for a factor of 1
    for (std::int64_t i = begin; i < end; ++i) {
      float& value = out[i - first];
      // A weight times 0 is 0, also where the file's is infinite or not a number.
      const double scaled = run->factor == 0.0 ? 0.0 : static_cast<double>(value) * run->factor;
      value = rounded_to(type, static_cast<float>(scaled + shift));
    }
  }
}

}  // namespace massact::edit
