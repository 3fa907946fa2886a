#include "massact/report/model_hash.h"

#include <algorithm>
#include <array>
#include <filesystem>

#include "massact/io/json.h"
#include "massact/report/fnv_hash.h"

namespace massact {
namespace {

constexpr std::int64_t kRuns = 8;
constexpr std::int64_t kRunLength = 8;
constexpr std::uint64_t kMaxConfigBytes = 64 << 20;

bool is_floating(DType type) {
  switch (type) {
    case DType::f64:
    case DType::f32:
    case DType::f16:
    case DType::bf16:
    case DType::f8_e4m3:
    case DType::f8_e5m2:
      return true;
    default:
      return false;
  }
}

// Short runs of values at evenly spaced places.
void add_samples(FnvHash& hash, const WeightSource& source, const TensorInfo& tensor) {
  const std::int64_t elements = tensor.shape.element_count(tensor.name);
  const std::int64_t step = std::max(kRunLength, elements / kRuns);
  std::array<float, kRunLength> values{};
  for (std::int64_t first = 0; first < elements; first += step) {
    const std::int64_t count = std::min(kRunLength, elements - first);
    source.read(tensor.name, first, count, values.data());
    hash.add(values.data(), static_cast<std::size_t>(count) * sizeof(float));
  }
}

}  // namespace

std::string hash_of(const Model& model) {
  FnvHash hash;
  const std::filesystem::path config = model.path() / "config.json";
  if (std::filesystem::exists(config)) {
    hash.add(read_text_file(config, kMaxConfigBytes));
  }
  const WeightSource& source = model.weights().source();
  for (const TensorInfo& tensor : source.tensors()) {
    hash.add(tensor.name);
    hash.add(tensor.encoding);
    hash.add(tensor.shape.to_string());
    if (!is_floating(tensor.type)) continue;
    add_samples(hash, source, tensor);
    // Around each sample the system maps up to 2 MiB.
    source.release(tensor.name);
  }
  return hash.digits();
}

}  // namespace massact
