#include "massact/tensor/tensor.h"

#include <sys/mman.h>

#include <cstring>

#include "massact/base/error.h"

namespace massact {
namespace {

// Mapped files give no alignment: elements are copied out one by one (compilers vectorise it).
template <typename T, typename Convert>
void convert(const std::byte* data, std::int64_t count, float* out, Convert to) {
  for (std::int64_t i = 0; i < count; ++i) {
    T element;
    std::memcpy(&element, data + static_cast<std::size_t>(i) * sizeof(T), sizeof(T));
    out[i] = to(element);
  }
}

}  // namespace

void advise_huge_pages(void* data, std::size_t bytes) {
  constexpr std::size_t kSmall = std::size_t{4} << 20;  // below, the gain is not worth the call
  constexpr std::uintptr_t kPage = 4096;
  if (bytes < kSmall) return;
  const auto first = (reinterpret_cast<std::uintptr_t>(data) + kPage - 1) / kPage * kPage;
  const auto last = (reinterpret_cast<std::uintptr_t>(data) + bytes) / kPage * kPage;
  madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
}

void read_floats(const TensorView& view, std::int64_t first, std::int64_t count, float* out) {
  if (count == 0) return;  // memcpy may not be given the null pointer of an empty buffer
  const std::byte* data = view.data + static_cast<std::size_t>(first) * size_of(view.type);
  switch (view.type) {
    case DType::f32:
      std::memcpy(out, data, static_cast<std::size_t>(count) * sizeof(float));
      return;
    case DType::bf16:
      return convert<BFloat16>(data, count, out, [](BFloat16 x) { return to_float(x); });
    case DType::f16:
      return convert<Float16>(data, count, out, [](Float16 x) { return to_float(x); });
    case DType::f64:
      return convert<double>(data, count, out, [](double x) { return static_cast<float>(x); });
    case DType::f8_e4m3:
      return convert<Float8E4M3>(data, count, out, [](Float8E4M3 x) { return to_float(x); });
    case DType::f8_e5m2:
      return convert<Float8E5M2>(data, count, out, [](Float8E5M2 x) { return to_float(x); });
    default:
      fail("tensor", "expected a floating-point type, got {}", name_of(view.type));
  }
}

Tensor::Tensor(DType type, Shape shape) {
  view_.type = type;
  view_.shape = std::move(shape);
  buffer_ = Buffer<std::byte>(static_cast<std::int64_t>(view_.byte_count()));
  view_.data = buffer_.data();
}

std::span<float> Tensor::floats() {
  require(type() == DType::f32, "tensor", "expected f32, got {}", name_of(type()));
  return {reinterpret_cast<float*>(buffer_.data()),
          static_cast<std::size_t>(shape().element_count())};
}

std::span<const float> Tensor::floats() const { return const_cast<Tensor*>(this)->floats(); }

Tensor to_float_tensor(const TensorView& view) {
  Tensor tensor(DType::f32, view.shape);
  read_floats(view, 0, view.shape.element_count(), tensor.floats().data());
  return tensor;
}

}  // namespace massact
