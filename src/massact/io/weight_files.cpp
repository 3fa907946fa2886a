#include "massact/io/weight_files.h"

#include <algorithm>
#include <iterator>

#include "massact/base/error.h"
#include "massact/io/safetensors.h"
#include "massact/io/safetensors_internal.h"
#include "massact/io/shards.h"
#include "massact/io/torch_checkpoint.h"

namespace massact {
namespace {

constexpr const char* kSafetensors = "model.safetensors";
constexpr const char* kSafetensorsIndex = "model.safetensors.index.json";
constexpr const char* kOpenClip = "open_clip_model.safetensors";
constexpr const char* kTorch = "pytorch_model.bin";
constexpr const char* kTorchIndex = "pytorch_model.bin.index.json";
constexpr const char* kNames[] = {kSafetensors, kSafetensorsIndex, kOpenClip, kTorch, kTorchIndex};

bool has(const std::filesystem::path& directory, const char* file) {
  return std::filesystem::exists(directory / file);
}

}  // namespace

std::unique_ptr<WeightSource> open_safetensors(const std::filesystem::path& directory_or_file) {
  const std::filesystem::path& path = directory_or_file;
  if (!std::filesystem::is_directory(path)) {
    if (path.string().ends_with(".index.json")) return open_sharded(path, map_safetensors_file);
    return std::make_unique<MappedWeights>(path.string(), map_safetensors_file(path));
  }
  require(has(path, kSafetensors) || has(path, kSafetensorsIndex), path.string(),
          "expected {} or {} in this directory, got neither", kSafetensors, kSafetensorsIndex);
  if (!has(path, kSafetensors)) return open_sharded(path / kSafetensorsIndex, map_safetensors_file);
  return std::make_unique<MappedWeights>(path.string(), map_safetensors_file(path / kSafetensors));
}

bool has_weight_files(const std::filesystem::path& directory) {
  return std::any_of(std::begin(kNames), std::end(kNames),
                     [&](const char* name) { return has(directory, name); });
}

std::unique_ptr<WeightSource> open_weight_files(const std::filesystem::path& directory) {
  if (has(directory, kSafetensors) || has(directory, kSafetensorsIndex)) {
    return open_safetensors(directory);
  }
  if (has(directory, kOpenClip)) return open_safetensors(directory / kOpenClip);
  if (has(directory, kTorch)) return open_torch_checkpoint(directory / kTorch).weights;
  require(has(directory, kTorchIndex), directory.string(),
          "expected {}, {}, {} or {} in this directory, got none of them", kSafetensors,
          kSafetensorsIndex, kTorch, kTorchIndex);
  return open_torch_shards(directory / kTorchIndex);
}

}  // namespace massact
