#include "massact/model/synthetic_model.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <map>
#include <random>

#include "massact/base/error.h"
#include "massact/base/interrupt.h"
#include "massact/base/suggest.h"
#include "massact/io/atomic_file.h"
#include "massact/io/safetensors.h"
#include "massact/model/family.h"

namespace massact {
namespace {

using nlohmann::json;

// Random values repeat after this many: a prime, so that the rows of a matrix differ.
constexpr std::int64_t kPeriod = 65521;
constexpr float kDeviation = 0.02f;

struct LlamaShape {
  std::int64_t layers, width, heads, kv_heads, mlp, vocab, positions;
};

json llama(const LlamaShape& s) {
  return {{"model_type", "llama"},
          {"architectures", {"LlamaForCausalLM"}},
          {"num_hidden_layers", s.layers},
          {"hidden_size", s.width},
          {"num_attention_heads", s.heads},
          {"num_key_value_heads", s.kv_heads},
          {"intermediate_size", s.mlp},
          {"vocab_size", s.vocab},
          {"max_position_embeddings", s.positions},
          {"rms_norm_eps", 1e-5}};
}

json gpt2(std::int64_t layers, std::int64_t width, std::int64_t heads) {
  return {{"model_type", "gpt2"}, {"architectures", {"GPT2LMHeadModel"}},
          {"n_layer", layers},    {"n_embd", width},
          {"n_head", heads},      {"vocab_size", 50257},
          {"n_positions", 1024}};
}

json dinov2(std::int64_t layers, std::int64_t width, std::int64_t heads) {
  return {{"model_type", "dinov2_with_registers"},
          {"architectures", {"Dinov2WithRegistersForImageClassification"}},
          {"num_hidden_layers", layers},
          {"hidden_size", width},
          {"num_attention_heads", heads},
          {"image_size", 224},
          {"patch_size", 14},
          {"num_labels", 1000}};
}

// Shapes as in the models' published configurations.
const std::map<std::string, json>& shapes() {
  static const std::map<std::string, json> all = {
      {"gpt2", gpt2(12, 768, 12)},
      {"gpt2-xl", gpt2(48, 1600, 25)},
      {"llama-124m", llama({12, 768, 12, 12, 2048, 32000, 2048})},
      {"llama-1b", llama({16, 2048, 32, 8, 8192, 32000, 4096})},
      {"llama2-7b", llama({32, 4096, 32, 32, 11008, 32000, 4096})},
      {"llama2-13b", llama({40, 5120, 40, 40, 13824, 32000, 4096})},
      {"llama2-70b", llama({80, 8192, 64, 8, 28672, 32000, 4096})},
      {"vit-b-14", dinov2(12, 768, 12)},
      {"vit-l-14", dinov2(24, 1024, 16)},
      {"llama3-8b", llama({32, 4096, 32, 8, 14336, 128256, 8192})},
  };
  return all;
}

// Weights made when they are read, by name: matrices random, norms one, other vectors zero.
class SyntheticWeights final : public WeightSource {
 public:
  SyntheticWeights(const WeightTable& table, const ModelConfig& config, DType type) : type_(type) {
    require(type == DType::bf16 || type == DType::f32, "synthetic model",
            "expected bf16 or f32, got {}", name_of(type));
    for (const auto& spec : table.specs) add(spec, table.prefixes.front(), config.layers);
    std::sort(tensors_.begin(), tensors_.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
    const auto last = std::unique(tensors_.begin(), tensors_.end(),
                                  [](const auto& a, const auto& b) { return a.name == b.name; });
    tensors_.erase(last, tensors_.end());  // parts of a fused tensor
    std::mt19937 generator(1);
    std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
    std::vector<float> noise(kPeriod);
    for (float& value : noise) value = uniform(generator) * std::sqrt(3.0f) * kDeviation;
    const float residual = 1.0f / std::sqrt(2.0f * static_cast<float>(config.layers));
    patterns_[kMatrix] = pattern(noise, 0.0f, 1.0f);
    patterns_[kResidual] = pattern(noise, 0.0f, residual);
    patterns_[kNorm] = pattern(noise, 1.0f, 0.0f);
    patterns_[kVector] = pattern(noise, 0.0f, 0.0f);
    for (const Kind kind : {kMatrix, kResidual, kNorm, kVector}) repeat_pattern(kind);
  }

  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  std::string description() const override { return "synthetic model"; }
  std::uint64_t file_bytes() const override { return 0; }

  TensorView view(std::string_view name) const override {
    const TensorInfo& tensor = info(name);
    require(tensor.viewable, name, "expected a tensor in memory, got one that is made when read");
    const auto offset = static_cast<std::size_t>(start_of(tensor)) * size_of(type_);
    return {type_, tensor.shape, repeated_[kinds_.at(tensor.name)].data() + offset};
  }

  void read(std::string_view name, std::int64_t first, std::int64_t count,
            float* out) const override {
    std::vector<std::byte> bytes(static_cast<std::size_t>(count) * size_of(type_));
    fill(info(name), first, count, bytes.data());
    read_floats({type_, {count}, bytes.data()}, 0, count, out);
  }

  void will_need(std::string_view) const override {}
  void release(std::string_view) const override {}

  /// Writes elements [first, first + count) in the source's type.
  void fill(const TensorInfo& tensor, std::int64_t first, std::int64_t count,
            std::byte* out) const {
    const std::size_t size = size_of(type_);
    const std::vector<std::byte>& values = patterns_[kinds_.at(tensor.name)];
    const std::int64_t start = start_of(tensor);
    for (std::int64_t done = 0; done < count;) {
      const std::int64_t at = (start + first + done) % kPeriod;
      const std::int64_t n = std::min(count - done, kPeriod - at);
      std::memcpy(out + static_cast<std::size_t>(done) * size,
                  values.data() + static_cast<std::size_t>(at) * size,
                  static_cast<std::size_t>(n) * size);
      done += n;
    }
  }

 private:
  enum Kind : std::size_t { kMatrix, kResidual, kNorm, kVector, kKinds };

  static Kind kind_of(const WeightSpec& spec) {
    if (spec.canonical.ends_with("W_O") || spec.canonical.ends_with("W_out")) return kResidual;
    if (spec.shape.rank() > 1) return kMatrix;
    return spec.canonical.ends_with(".w") ? kNorm : kVector;
  }

  void add(const WeightSpec& spec, std::string_view prefix, std::int64_t layers) {
    const bool per_block = spec.canonical.find('*') != std::string::npos;
    for (std::int64_t block = 0; block < (per_block ? layers : 1); ++block) {
      TensorInfo info;
      info.name = spec.source_name(prefix, block);
      info.shape = spec.shape;
      info.encoding = type_ == DType::f32 ? "F32" : "BF16";
      // A transposed weight cannot be packed row by row as it is made.
      info.viewable = spec.layout == WeightLayout::in_out;
      if (info.viewable) info.type = type_;
      kinds_[info.name] = kind_of(spec);
      tensors_.push_back(std::move(info));
    }
  }

  static std::int64_t start_of(const TensorInfo& tensor) {
    return static_cast<std::int64_t>(std::hash<std::string>{}(tensor.name) % kPeriod);
  }

  // Long enough for every viewable tensor of the kind, wherever in the period it starts.
  void repeat_pattern(Kind kind) {
    std::int64_t longest = 0;
    for (const auto& tensor : tensors_) {
      if (!tensor.viewable || kinds_.at(tensor.name) != kind) continue;
      longest = std::max(longest, tensor.shape.element_count());
    }
    if (longest == 0) return;
    const std::vector<std::byte>& pattern = patterns_[kind];
    std::vector<std::byte>& out = repeated_[kind];
    out.resize(static_cast<std::size_t>(longest + kPeriod) * size_of(type_));
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = pattern[i % pattern.size()];
  }

  // One period of values offset + scale * noise, in the source's type.
  std::vector<std::byte> pattern(const std::vector<float>& noise, float offset, float scale) const {
    std::vector<std::byte> bytes(noise.size() * size_of(type_));
    for (std::size_t i = 0; i < noise.size(); ++i) {
      const float value = offset + scale * noise[i];
      const BFloat16 half = to_bfloat16(value);
      const void* element = type_ == DType::f32 ? static_cast<const void*>(&value) : &half;
      std::memcpy(bytes.data() + i * size_of(type_), element, size_of(type_));
    }
    return bytes;
  }

  DType type_;
  std::vector<TensorInfo> tensors_;
  std::map<std::string, Kind> kinds_;
  std::array<std::vector<std::byte>, kKinds> patterns_;
  std::array<std::vector<std::byte>, kKinds> repeated_;  // what viewable tensors show
};

struct Synthetic {
  json file;
  ModelConfig config;
  WeightTable table;
  std::shared_ptr<const SyntheticWeights> weights;
};

Synthetic make(const SyntheticOptions& options) {
  Synthetic synthetic;
  synthetic.file = synthetic_config(options);
  const JsonObject fields(synthetic.file, options.shape);
  const Family& family = find_family(fields.get<std::string>("model_type"), options.shape);
  synthetic.config = family.read_config(fields);
  synthetic.table = family.weights(synthetic.config);
  synthetic.weights =
      std::make_shared<const SyntheticWeights>(synthetic.table, synthetic.config, options.type);
  return synthetic;
}

}  // namespace

std::vector<std::string> synthetic_shapes() {
  std::vector<std::string> names;
  for (const auto& [name, config] : shapes()) names.push_back(name);
  return names;
}

json synthetic_config(const SyntheticOptions& options) {
  const auto found = shapes().find(options.shape);
  if (found == shapes().end()) {
    fail_usage("--shape", "unknown shape '{}' (known: {})", options.shape,
               join(synthetic_shapes()));
  }
  json config = found->second;
  const char* field = config["model_type"] == "gpt2" ? "n_layer" : "num_hidden_layers";
  if (options.layers > 0) config[field] = options.layers;
  return config;
}

Model make_synthetic_model(const SyntheticOptions& options) {
  Synthetic synthetic = make(options);
  const std::int64_t layers = synthetic.config.layers;
  return Model({.config = synthetic.config,
                .weights = BoundWeights::bind(synthetic.table, synthetic.weights, layers),
                .path = options.shape,
                .name = options.shape,
                .tokenizer = nullptr});
}

void write_synthetic_model(const SyntheticOptions& options, const std::filesystem::path& directory,
                           Progress& progress) {
  const Synthetic synthetic = make(options);
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  require(!error, directory.string(), "expected to create this directory for a model, got: {}",
          error.message());
  std::vector<SafetensorsWriter::Declaration> declared;
  std::uint64_t total = 0;
  for (const auto& info : synthetic.weights->tensors()) {
    declared.push_back({info.name, options.type, info.shape});
    total += static_cast<std::uint64_t>(info.shape.element_count()) * size_of(options.type);
  }
  SafetensorsWriter writer(directory / "model.safetensors", declared, {{"format", "pt"}});
  progress.begin("writing", total, "bytes");
  constexpr std::int64_t kChunk = std::int64_t{1} << 24;  // elements
  std::vector<std::byte> chunk(static_cast<std::size_t>(kChunk) * size_of(options.type));
  std::uint64_t done = 0;
  for (const auto& info : synthetic.weights->tensors()) {
    const std::int64_t count = info.shape.element_count();
    for (std::int64_t first = 0; first < count; first += kChunk) {
      check_interrupted();
      const std::int64_t n = std::min(kChunk, count - first);
      const std::size_t bytes = static_cast<std::size_t>(n) * size_of(options.type);
      synthetic.weights->fill(info, first, n, chunk.data());
      writer.write(info.name, static_cast<std::uint64_t>(first) * size_of(options.type),
                   std::span(chunk).first(bytes));
      progress.update(done += bytes, info.name);
    }
  }
  writer.commit();
  write_file_atomically(directory / "config.json", synthetic.file.dump(2) + "\n");
  progress.end();
}

}  // namespace massact
