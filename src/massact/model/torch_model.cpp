#include "massact/model/torch_model.h"

#include <fmt/format.h>

#include <array>
#include <regex>

#include "massact/base/error.h"
#include "massact/base/suggest.h"
#include "massact/io/adapter.h"
#include "massact/io/mapped_file.h"
#include "massact/io/torch_checkpoint.h"
#include "massact/io/zip.h"
#include "massact/model/family.h"
#include "massact/model/openai_clip.h"
#include "massact/model/sam_geometry.h"

namespace massact {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMaxConfigBytes = 16u << 20;

// Where training programs save the model's options.
constexpr std::array<const char*, 3> kOptionKeys = {"model_args", "config", "model_config"};

// Meta's DINOv2 files carry nothing but tensors: their names say what they are. Null: another file.
nlohmann::json dinov2_options(const fs::path& path) {
  static const std::regex kName("dinov2_vit([sblg])14(_reg4)?(_pretrain)?");
  std::smatch match;
  const std::string stem = path.stem().string();
  if (!std::regex_match(stem, match, kName)) return nullptr;
  const std::string letter = match[1];
  const char* size = letter == "s"   ? "small"
                     : letter == "b" ? "base"
                     : letter == "l" ? "large"
                                     : "giant";
  // As timm's, but for the class token, whose position is not merged into it.
  return {{"model_type", "timm"},
          {"architecture", fmt::format("vit_{}_patch14{}_dinov2", size, match[2].str())},
          {"model_args", {{"img_size", 518}, {"no_embed_class", false}}},
          {"num_classes", 0}};
}

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
  if (nlohmann::json options = dinov2_options(path); options.is_object()) {
    return {std::move(options), path.string()};
  }
  if (checkpoint.is_script) {
    nlohmann::json options = openai_clip_options(*checkpoint.weights, path.string());
    if (options.is_object()) return {std::move(options), path.string()};
  }
  if (nlohmann::json options = sam_options(*checkpoint.weights, path.string());
      options.is_object()) {
    return {std::move(options), path.string()};
  }
  std::vector<std::string> some;
  for (const TensorInfo& tensor : checkpoint.weights->tensors()) some.push_back(tensor.name);
  fail(path.string(),
       "expected config.json beside this checkpoint, nanoGPT's model_args in it, the tensors of "
       "SAM, "
       "the name of one of DINOv2's files (dinov2_vitb14_pretrain.pth) or OpenAI's CLIP as a "
       "TorchScript archive, to know the architecture; got none of them (it holds {} tensors: {})",
       some.size(), list_names(some, 6));
}

// The same options for the text tower that is in the file as well.
JsonObject text_tower_of(const JsonObject& options) {
  const auto type = options.get_or<std::string>("model_type", "");
  require(type == "open_clip", options.where("model_type"),
          "expected a file with an image and a text tower (OpenAI's CLIP), got '{}'", type);
  return {{{"model_type", "open_clip_text_model"}, {"model_cfg", *options.find("model_cfg")}},
          options.where("model_cfg")};
}

std::string describe(const TorchCheckpoint& checkpoint) {
  if (checkpoint.is_script) {
    return "TorchScript archive: its tensors are read, its program is left alone";
  }
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

TorchModel open_torch_model(const fs::path& path, const fs::path& adapter, Tower tower) {
  TorchCheckpoint checkpoint = open_torch_checkpoint(path);
  JsonObject options = read_options(path, checkpoint);
  if (tower == Tower::text) options = text_tower_of(options);
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
