#include "massact/io/mapped_weights.h"

#include <algorithm>
#include <set>

#include "massact/base/error.h"

namespace massact {
namespace {

constexpr std::uint64_t kFewBytes = 64 << 10;

}  // namespace

MappedWeights::MappedWeights(std::string description, std::vector<MappedTensor> tensors)
    : description_(std::move(description)) {
  std::sort(tensors.begin(), tensors.end(),
            [](const MappedTensor& a, const MappedTensor& b) { return a.info.name < b.info.name; });
  std::set<const MappedFile*> files;
  for (MappedTensor& tensor : tensors) {
    require(tensors_.empty() || tensors_.back().name != tensor.info.name,
            tensor.file->path().string(), "expected each tensor once, got {} twice",
            tensor.info.name);
    if (files.insert(tensor.file.get()).second) file_bytes_ += tensor.file->bytes().size();
    if (!tensor.strides.empty()) tensor.info.viewable = false;
    tensors_.push_back(std::move(tensor.info));
    places_.push_back({std::move(tensor.file), tensor.offset, std::move(tensor.strides)});
  }
}

const MappedWeights::Place& MappedWeights::place(const TensorInfo& tensor) const {
  return places_[static_cast<std::size_t>(&tensor - tensors_.data())];
}

const std::byte* MappedWeights::data(const TensorInfo& tensor) const {
  const Place& at = place(tensor);
  return at.file->bytes().data() + at.offset;
}

const std::byte* MappedWeights::bytes_of(const TensorInfo& tensor, std::uint64_t first,
                                         std::uint64_t count,
                                         std::vector<std::byte>& scratch) const {
  if (tensor.bytes <= kSmallTensor || count > kFewBytes) return data(tensor) + first;
  scratch.resize(static_cast<std::size_t>(count));
  const Place& at = place(tensor);
  at.file->copy(at.offset + first, scratch);
  return scratch.data();
}

void MappedWeights::check_range(const TensorInfo& tensor, std::int64_t first,
                                std::int64_t count) const {
  const std::int64_t size = tensor.shape.element_count(tensor.name);
  require(first >= 0 && count >= 0 && first <= size && count <= size - first, tensor.name,
          "expected a range inside its {} elements, got {} elements from element {}", size, count,
          first);
}

TensorView MappedWeights::view(std::string_view name) const {
  const TensorInfo& tensor = info(name);
  require(tensor.viewable, tensor.name,
          "expected a tensor of plain, neighbouring elements, got {} (read it instead)",
          tensor.encoding);
  return {tensor.type, tensor.shape, data(tensor)};
}

void MappedWeights::read(std::string_view name, std::int64_t first, std::int64_t count,
                         float* out) const {
  const TensorInfo& tensor = info(name);
  check_range(tensor, first, count);
  if (!place(tensor).strides.empty()) return read_strided(tensor, first, count, out);
  TensorView part = view(name);
  const auto size = static_cast<std::uint64_t>(size_of(tensor.type));
  std::vector<std::byte> scratch;
  part.data = bytes_of(tensor, static_cast<std::uint64_t>(first) * size,
                       static_cast<std::uint64_t>(count) * size, scratch);
  part.shape = {count};
  read_floats(part, 0, count, out);
}

// Element by element: transposed weights are rare, and packing them costs more.
void MappedWeights::read_strided(const TensorInfo& tensor, std::int64_t first, std::int64_t count,
                                 float* out) const {
  const std::vector<std::int64_t>& strides = place(tensor).strides;
  const std::byte* begin = data(tensor);
  for (std::int64_t i = 0; i < count; ++i) {
    std::int64_t rest = first + i, at = 0;
    for (std::size_t axis = strides.size(); axis-- > 0;) {
      at += rest % tensor.shape[axis] * strides[axis];
      rest /= tensor.shape[axis];
    }
    read_floats({tensor.type, {1}, begin}, at, 1, out + i);
  }
}

void MappedWeights::will_need(std::string_view name) const {
  const TensorInfo& tensor = info(name);
  place(tensor).file->will_need(place(tensor).offset, tensor.bytes);
}

void MappedWeights::release(std::string_view name) const {
  const TensorInfo& tensor = info(name);
  place(tensor).file->release(place(tensor).offset, tensor.bytes);
}

}  // namespace massact
