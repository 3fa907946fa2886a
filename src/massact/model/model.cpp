#include "massact/model/model.h"

#include <cmath>

#include "massact/base/error.h"
#include "massact/io/adapter.h"
#include "massact/io/llama2c.h"
#include "massact/io/quantized_weights.h"
#include "massact/io/weight_files.h"
#include "massact/model/family.h"
#include "massact/model/gguf_files.h"
#include "massact/model/gguf_model.h"
#include "massact/model/torch_model.h"
#include "massact/text/gguf_tokenizer.h"

namespace massact {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMaxConfigBytes = 16u << 20;

// An HF cache folder ("models--org--name") holds the files in snapshots/<revision>: the one that
// refs/main names, else the newest.
fs::path resolve_cache_folder(const fs::path& path) {
  const fs::path snapshots = path / "snapshots";
  if (fs::exists(path / "config.json") || !fs::is_directory(snapshots)) return path;
  const fs::path ref = path / "refs" / "main";
  if (fs::exists(ref)) {
    std::string revision = read_text_file(ref, 4096);
    while (!revision.empty() && std::isspace(static_cast<unsigned char>(revision.back()))) {
      revision.pop_back();
    }
    // The revision is a file's content: it must stay a plain folder name.
    const bool plain = !revision.empty() && revision.find('/') == std::string::npos &&
                       revision != "." && revision != "..";
    if (plain && fs::is_directory(snapshots / revision)) return snapshots / revision;
  }
  fs::path newest;
  for (const auto& entry : fs::directory_iterator(snapshots)) {
    const bool newer = newest.empty() || entry.last_write_time() > fs::last_write_time(newest);
    if (entry.is_directory() && newer) newest = entry.path();
  }
  require(!newest.empty(), snapshots.string(), "expected a snapshot folder, found none");
  return newest;
}

ModelConfig llama2c_config(const Llama2cConfig& file) {
  ModelConfig model;
  model.family = "llama";
  model.name = "llama2.c";
  model.layers = file.layers;
  model.width = file.dim;
  model.heads = file.heads;
  model.kv_heads = file.kv_heads;
  model.head_size = file.head_size();
  model.mlp_size = file.hidden_dim;
  model.vocab = file.vocab;
  model.max_positions = file.seq_len;
  model.norm_eps = static_cast<float>(Llama2cConfig::kNormEpsilon);
  model.rope.style = ops::RopeStyle::interleaved;
  model.rope.dims = file.head_size();
  model.rope.base = Llama2cConfig::kRotaryBase;
  model.attention_scale = 1.0f / std::sqrt(static_cast<float>(file.head_size()));
  model.tied_embeddings = file.tied_head;
  model.windows.assign(static_cast<std::size_t>(file.layers), 0);
  return model;
}

// The model's own tokenizer; one that cannot be read says how to do without.
template <typename Open>
std::shared_ptr<const Tokenizer> open_own(const Open& open, const fs::path& path) {
  try {
    return open(path);
  } catch (const Interrupted&) {
    throw;
  } catch (const Error& error) {
    const std::string_view text = error.what();
    const std::size_t behind_where = error.where().size() + std::string_view("[] ").size();
    fail(error.where(), "{} (another can be given with --tokenizer)", text.substr(behind_where));
  }
}

// The tokenizer the user named, else what lies beside the model, else none. An image tower has no
// use for any: zero-shot opens that of the text tower itself.
std::shared_ptr<const Tokenizer> find_tokenizer(const ModelConfig& config, const fs::path& beside,
                                                const OpenOptions& options) {
  if (config.is_vision()) return nullptr;
  if (!options.tokenizer.empty()) return open_tokenizer(options.tokenizer);
  bool found = false;
  for (const auto& entry : fs::directory_iterator(beside)) {
    const std::string name = entry.path().filename().string();
    found |= name == "tokenizer.json" || name == "tokenizer.model" || name == "spiece.model" ||
             name == "tokenizer.bin" || (name.starts_with("tok") && name.ends_with(".bin")) ||
             (name == "vocab.json" && fs::exists(beside / "merges.txt")) ||
             name.starts_with("bpe_simple_vocab_16e6.txt");
  }
  return found ? open_own(open_tokenizer, beside) : nullptr;
}

Model open_llama2c_model(const fs::path& path, const OpenOptions& options) {
  Llama2cModel file = open_llama2c(path);
  const ModelConfig config = llama2c_config(file.config);
  const WeightTable table = find_family("llama", path.string()).weights(config);
  fs::path folder = path.parent_path();
  if (folder.empty()) folder = ".";
  return Model({.config = config,
                .weights = BoundWeights::bind(table, std::move(file.weights), config.layers),
                .path = path,
                .name = path.stem().string(),
                .tokenizer = find_tokenizer(config, folder, options)});
}

Model open_torch_file(const fs::path& path, const OpenOptions& options, Tower tower = Tower::main) {
  TorchModel file = open_torch_model(path, options.adapter, tower);
  const fs::path folder = path.has_parent_path() ? path.parent_path() : ".";
  auto tokenizer = find_tokenizer(file.config, folder, options);
  return Model({.config = std::move(file.config),
                .weights = std::move(file.weights),
                .path = path,
                .name = path.stem().string(),
                .tokenizer = std::move(tokenizer),
                .notes = std::move(file.notes)});
}

// A file without a vocabulary says "no_vocab", or "none" as older ones do.
bool has_tokenizer(const GgufMetadata& metadata) {
  const auto model = metadata.get_or<std::string>("tokenizer.ggml.model", "none");
  return model != "none" && model != "no_vocab";
}

Model open_gguf_model(const fs::path& path, const OpenOptions& options) {
  std::shared_ptr<const GgufSource> source = open_gguf(path);
  const GgufArchitecture architecture = read_gguf_architecture(*source);
  std::shared_ptr<const Tokenizer> tokenizer;
  if (!options.tokenizer.empty()) {
    tokenizer = open_tokenizer(options.tokenizer);
  } else if (has_tokenizer(source->metadata())) {
    tokenizer = open_own(open_gguf_tokenizer, path);
  }
  return Model(
      {.config = architecture.config,
       .weights = BoundWeights::bind(architecture.table, source, architecture.config.layers),
       .path = path,
       .name = path.stem().string(),
       .tokenizer = std::move(tokenizer)});
}

bool has_config(const fs::path& directory) {
  return fs::exists(directory / "config.json") || fs::exists(directory / "open_clip_config.json");
}

JsonObject read_config_of(const fs::path& directory) {
  const fs::path config_path = directory / "config.json";
  if (const fs::path open_clip = directory / "open_clip_config.json";
      !fs::exists(config_path) && fs::exists(open_clip)) {
    const auto file = JsonObject::from_file(open_clip, kMaxConfigBytes);
    const nlohmann::json* model_cfg = file.find("model_cfg");
    return {{{"model_type", "open_clip"},
             {"model_cfg", model_cfg == nullptr ? nlohmann::json() : *model_cfg}},
            open_clip.string()};
  }
  require(fs::exists(config_path), directory.string(),
          "expected config.json or one .gguf file in this directory (is this a model?)");
  return JsonObject::from_file(config_path, kMaxConfigBytes);
}

// `json`: the whole config.json, or that of one of its towers.
Model open_hf_model(const fs::path& directory, const JsonObject& json, const OpenOptions& options) {
  const Family& family = find_family(json);
  const ModelConfig config = family.read_config(json);
  std::shared_ptr<const WeightSource> weights = open_weight_files(directory);
  std::vector<std::string> notes;
  if (json.has("quantization_config")) {
    const JsonObject quantization = json.object("quantization_config");
    weights = dequantize(std::move(weights), quantization);
    notes.push_back(
        fmt::format("weights quantised by {}: dequantised while they are packed; "
                    "activations stay in f32",
                    quantization.get<std::string>("quant_method")));
  }
  if (!options.adapter.empty()) {
    MergedAdapter merged = merge_adapter(std::move(weights), options.adapter);
    weights = std::move(merged.weights);
    notes.push_back(std::move(merged.note));
  }
  std::string name = fs::absolute(directory).lexically_normal().filename().string();
  if (name.empty()) name = fs::absolute(directory).parent_path().filename().string();
  return Model(
      {.config = config,
       .weights = BoundWeights::bind(family.weights(config), std::move(weights), config.layers),
       .path = directory,
       .name = name,
       .tokenizer = find_tokenizer(config, directory, options),
       .notes = std::move(notes)});
}

Model open_file(const fs::path& path, const OpenOptions& options) {
  const std::string extension = path.extension().string();
  const bool gguf = is_gguf_file(path);
  if (!gguf && is_torch_checkpoint(path)) return open_torch_file(path, options);
  if (!options.adapter.empty() && (gguf || extension == ".bin")) {
    fail_usage("--adapter",
               "expected a base model with Hugging Face's weight names (a directory), got {}",
               path.string());
  }
  if (gguf) return open_gguf_model(path, options);
  if (extension == ".bin") return open_llama2c_model(path, options);
  if (path.filename() == "config.json" || extension == ".safetensors") {
    const fs::path folder = path.has_parent_path() ? path.parent_path() : ".";
    return open_hf_model(folder, read_config_of(folder), options);
  }
  fail(path.string(),
       "expected a directory with config.json, a .gguf, a PyTorch .pt or .pth, or a llama2.c .bin "
       "file, got a {} file",
       extension.empty() ? "nameless" : extension);
}

Model open_directory(const fs::path& folder, const OpenOptions& options) {
  // nanoGPT's output folder holds nothing but its checkpoint.
  if (!has_config(folder) && fs::exists(folder / "ckpt.pt")) {
    return open_torch_file(folder / "ckpt.pt", options);
  }
  // Repositories of GGUF files often keep the original's config.json.
  if (!has_config(folder) || !has_weight_files(folder)) {
    if (const fs::path gguf = find_gguf_model(folder); !gguf.empty()) {
      return open_file(gguf, options);
    }
  }
  return open_hf_model(folder, read_config_of(folder), options);
}

}  // namespace

const Tokenizer& Model::tokenizer() const {
  require(has_tokenizer(), path().string(),
          "expected a tokenizer beside the model (tokenizer.json, tokenizer.model or "
          "tokenizer.bin), found none (give one with --tokenizer, or token ids with --tokens)");
  return *parts_->tokenizer;
}

bool Model::has_half_weights() const {
  const TensorInfo* info = weights().source().find(weights().source_name("blocks.0.attn.W_O"));
  if (info == nullptr) return false;
  if (info->viewable) return size_of(info->type) == 2;
  return !info->encoding.starts_with("F32") && !info->encoding.starts_with("F64");
}

Model open_model(const fs::path& path, const OpenOptions& options) {
  require(fs::exists(path), path.string(), "expected a model, found no such file or directory");
  return fs::is_directory(path) ? open_directory(resolve_cache_folder(path), options)
                                : open_file(path, options);
}

Model open_text_tower(const fs::path& path, const OpenOptions& options) {
  const bool file = fs::is_regular_file(path) && is_torch_checkpoint(path);
  if (file) return open_torch_file(path, options, Tower::text);
  require(fs::is_directory(path), path.string(),
          "expected a model with an image and a text tower: a directory or OpenAI's archive");
  const fs::path folder = resolve_cache_folder(path);
  const JsonObject whole = read_config_of(folder);
  const auto type = whole.get_or<std::string>("model_type", "");
  if (type == "open_clip") {
    whole.object("model_cfg");  // or it says that there is none
    nlohmann::json named = {{"model_type", "open_clip_text_model"},
                            {"model_cfg", *whole.find("model_cfg")}};
    return open_hf_model(folder, JsonObject(std::move(named), folder.string()), options);
  }
  require((type == "clip" || type == "siglip") && whole.has("text_config"), folder.string(),
          "expected a model with an image and a text tower (clip, siglip), got '{}'", type);
  nlohmann::json tower = *whole.find("text_config");
  tower["model_type"] = type + "_text_model";
  if (type == "clip") {
    // The projection's size and presence are the whole model's.
    tower["architectures"] = {"CLIPTextModelWithProjection"};
    tower["projection_dim"] = whole.get_or<std::int64_t>("projection_dim", 512);
  }
  return open_hf_model(folder, JsonObject(std::move(tower), whole.where("text_config")), options);
}

SimilarityScale similarity_scale(const Model& model) {
  const WeightSource& source = model.weights().source();
  SimilarityScale result;
  const auto read = [&](const char* name, float& value) {
    const TensorInfo* info = source.find(name);
    if (info == nullptr || info->shape.element_count(name) != 1) return false;
    source.read(name, 0, 1, &value);
    return true;
  };
  if (read("logit_scale", result.scale)) result.scale = std::exp(result.scale);
  read("logit_bias", result.bias);
  return result;
}

}  // namespace massact
