#include "train/tensor_files.h"

#include <span>
#include <utility>
#include <vector>

#include "massact/base/error.h"
#include "massact/io/safetensors.h"

namespace massact::train {

void save_tensors(const std::filesystem::path& path, const NamedTensors& tensors) {
  std::vector<SafetensorsWriter::Declaration> declarations;
  for (const auto& [name, tensor] : tensors) {
    const bool bf16 = tensor.scalar_type() == at::kBFloat16;
    require(bf16 || tensor.scalar_type() == at::kFloat, name, "expected float32 or bfloat16");
    declarations.push_back({name, bf16 ? DType::bf16 : DType::f32, Shape(tensor.sizes().vec())});
  }
  // "format": "pt" is what HF transformers asks for.
  SafetensorsWriter writer(path, std::move(declarations), {{"format", "pt"}});
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor dense = tensor.contiguous();
    writer.write(name, 0,
                 std::span(static_cast<const std::byte*>(dense.data_ptr()), dense.nbytes()));
  }
  writer.commit();
}

NamedTensors load_tensors(const std::filesystem::path& path) {
  const auto source = open_safetensors(path);
  NamedTensors tensors;
  for (const auto& info : source->tensors()) {
    at::Tensor tensor = at::empty(info.shape.extents(), at::kFloat);
    source->read(info.name, 0, tensor.numel(), tensor.data_ptr<float>());
    tensors.emplace(info.name, std::move(tensor));
  }
  return tensors;
}

}  // namespace massact::train
