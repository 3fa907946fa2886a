// Reading register means from files.
#include <span>
#include <utility>
#include <vector>

#include "massact/base/error.h"
#include "massact/io/safetensors.h"
#include "massact/io/torch_checkpoint.h"
#include "massact/study/registers.h"

namespace massact {
namespace {

constexpr const char* kRegistersTensor = "registers";

RegisterMeans empty_means(const ModelConfig& config) {
  return {config.layers, config.vision.registers, config.width, {}};
}

// {block: [registers, width]}
RegisterMeans read_torch(const std::filesystem::path& path, const ModelConfig& config) {
  const TorchCheckpoint file = open_torch_checkpoint(path);
  RegisterMeans means = empty_means(config);
  const Shape expected({means.registers, means.width});
  const std::int64_t each = means.registers * means.width;
  means.values.resize(static_cast<std::size_t>(means.blocks * each));
  for (std::int64_t block = 0; block < means.blocks; ++block) {
    const std::string name = fmt::format("{}", block);
    const TensorInfo* tensor = file.weights->find(name);
    require(tensor != nullptr, path.string(),
            "expected a mean for each of the model's {} blocks, found none of block {}",
            means.blocks, block);
    require(tensor->shape == expected, path.string(), "expected means of {} for block {}, got {}",
            expected.to_string(), block, tensor->shape.to_string());
    file.weights->read(name, 0, each, means.values.data() + block * each);
  }
  require(std::ssize(file.weights->tensors()) == means.blocks, path.string(),
          "expected means of {} blocks, got {}", means.blocks, file.weights->tensors().size());
  return means;
}

}  // namespace

RegisterMeans read_register_means(const std::filesystem::path& path, const ModelConfig& config) {
  if (path.extension() != ".safetensors") return read_torch(path, config);
  const auto file = open_safetensors(path);
  RegisterMeans means = empty_means(config);
  const Shape expected({means.blocks, means.registers, means.width});
  const TensorInfo& tensor = file->info(kRegistersTensor);
  require(tensor.shape == expected, path.string(),
          "expected {} of [blocks, registers, width] = {}, got {}", kRegistersTensor,
          expected.to_string(), tensor.shape.to_string());
  means.values.resize(static_cast<std::size_t>(expected.element_count()));
  file->read(kRegistersTensor, 0, expected.element_count(), means.values.data());
  return means;
}

void write_register_means(const std::filesystem::path& path, const RegistersResult& result) {
  std::vector<std::pair<const char*, const RegisterMeans*>> parts = {{"cls", &result.cls}};
  if (result.registers.registers > 0) parts.emplace_back(kRegistersTensor, &result.registers);
  std::vector<SafetensorsWriter::Declaration> tensors;
  for (const auto& [name, means] : parts) {
    tensors.push_back({name, DType::f32, Shape({means->blocks, means->registers, means->width})});
  }
  SafetensorsWriter writer(path, std::move(tensors));
  for (const auto& [name, means] : parts) {
    writer.write(name, 0, std::as_bytes(std::span(means->values)));
  }
  writer.commit();
}

}  // namespace massact
