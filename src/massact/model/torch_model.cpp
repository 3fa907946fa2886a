#include "massact/model/torch_model.h"

#include <array>

#include "massact/base/error.h"
#include "massact/base/suggest.h"
#include "massact/io/adapter.h"
#include "massact/io/mapped_file.h"
#include "massact/io/torch_checkpoint.h"
#include "massact/io/zip.h"
#include "massact/model/family.h"

namespace massact {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMaxConfigBytes = 16u << 20;

// Where training programs save the model's options.
constexpr std::array<const char*, 3> kOptionKeys = {"model_args", "config", "model_config"};

JsonObject read_options(const fs::path& path, const TorchCheckpoint& checkpoint) {
  const fs::path beside = path.parent_path() / "config.json";
  if (fs::exists(beside)) return JsonObject::from_file(beside, kMaxConfigBytes);
  for (const char* key : kOptionKeys) {
    const auto options = checkpoint.values.find(key);
    if (options == checkpoint.values.end() || !options->is_object()) continue;
    if (options->contains("n_layer") && options->contains("block_size")) {
      nlohmann::json named = *options;
      named["model_type"] = "nanogpt";
      return {std::move(named), fmt::format("{}: {}", path.string(), key)};
    }
  }
  std::vector<std::string> some;
  for (const TensorInfo& tensor : checkpoint.weights->tensors()) some.push_back(tensor.name);
  fail(path.string(),
       "expected config.json beside this checkpoint, or nanoGPT's model_args in it, to know the "
       "architecture; got neither (it holds {} tensors: {})",
       some.size(), list_names(some, 6));
}

std::string describe(const TorchCheckpoint& checkpoint) {
  std::string note = "PyTorch checkpoint";
  if (!checkpoint.state_key.empty()) {
    note += fmt::format("; the weights are its '{}'", checkpoint.state_key);
  }
  std::vector<std::string> others;
  for (const auto& [key, reason] : checkpoint.ignored) others.push_back(key);
  if (!others.empty()) note += fmt::format("; not used: {}", list_names(others));
  return note;
}

}  // namespace

bool is_torch_checkpoint(const fs::path& path) {
  const std::string extension = path.extension().string();
  return extension == ".pt" || extension == ".pth" ||
         (extension == ".bin" && looks_like_zip(MappedFile::open(path)->bytes()));
}

TorchModel open_torch_model(const fs::path& path, const fs::path& adapter) {
  TorchCheckpoint checkpoint = open_torch_checkpoint(path);
  const JsonObject options = read_options(path, checkpoint);
  const Family& family = find_family(options);
  const ModelConfig config = family.read_config(options);
  TorchModel model{.config = config, .weights = {}, .notes = {describe(checkpoint)}};
  std::shared_ptr<const WeightSource> weights = std::move(checkpoint.weights);
  if (!adapter.empty()) {
    MergedAdapter merged = merge_adapter(std::move(weights), adapter);
    weights = std::move(merged.weights);
    model.notes.push_back(std::move(merged.note));
  }
  model.weights = BoundWeights::bind(family.weights(config), std::move(weights), config.layers);
  return model;
}

}  // namespace massact
