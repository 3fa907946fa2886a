#include "massact/io/llama2c.h"

#include <array>

#include "massact/base/error.h"
#include "massact/io/little_endian.h"
#include "massact/io/mapped_weights.h"

namespace massact {
namespace {

constexpr std::size_t kHeaderInts = 7;
constexpr std::size_t kHeaderBytes = kHeaderInts * sizeof(std::int32_t);
constexpr std::int32_t kVersionedMagic = 0x616b3432;  // "ak42", versions 1 and later
constexpr std::int64_t kMaxLayers = 10'000;

Llama2cConfig read_header(std::span<const std::byte> file, const std::string& where) {
  require(file.size() >= kHeaderBytes, where, "expected a header of {} bytes, got a file of {}",
          kHeaderBytes, file.size());
  std::array<std::int32_t, kHeaderInts> value{};
  for (std::size_t i = 0; i < kHeaderInts; ++i) {
    value[i] = load_little_endian<std::int32_t>(file, i * sizeof(std::int32_t));
  }
  require(value[0] != kVersionedMagic, where,
          "expected llama2.c's legacy format, got a versioned checkpoint (export it with "
          "--version 0)");
  static constexpr std::array<const char*, kHeaderInts> kFields = {
      "dim", "hidden_dim", "n_layers", "n_heads", "n_kv_heads", "vocab_size", "seq_len"};
  for (std::size_t i = 0; i < kHeaderInts; ++i) {
    // Only the vocabulary has a meaningful sign: negative says that the head is not tied.
    const bool valid = value[i] > 0 || (i == 5 && value[i] < 0);
    require(valid, where, "expected header field {} to be positive, got {} (no llama2.c file?)",
            kFields[i], value[i]);
  }
  Llama2cConfig config;
  config.dim = value[0];
  config.hidden_dim = value[1];
  config.layers = value[2];
  config.heads = value[3];
  config.kv_heads = value[4];
  config.tied_head = value[5] > 0;
  config.vocab = config.tied_head ? value[5] : -std::int64_t{value[5]};
  config.seq_len = value[6];
  require(config.layers <= kMaxLayers, where, "expected n_layers of at most {}, got {}", kMaxLayers,
          config.layers);
  require(config.dim % config.heads == 0 && config.head_size() % 2 == 0, where,
          "expected dim to be an even multiple of n_heads, got dim {} and n_heads {}", config.dim,
          config.heads);
  require(config.heads % config.kv_heads == 0, where,
          "expected n_heads to be a multiple of n_kv_heads, got {} and {}", config.heads,
          config.kv_heads);
  return config;
}

// One kind of tensor in file order; `per_layer` kinds are stored for all layers in a row.
struct Kind {
  std::string name;
  Shape shape;
  bool per_layer = false;
  bool skipped = false;  // in the file, but no weight
};

std::vector<Kind> file_order(const Llama2cConfig& c) {
  const std::int64_t kv_dim = c.kv_heads * c.head_size();
  std::vector<Kind> kinds = {
      {"model.embed_tokens.weight", {c.vocab, c.dim}},
      {"input_layernorm.weight", {c.dim}, true},
      {"self_attn.q_proj.weight", {c.dim, c.dim}, true},
      {"self_attn.k_proj.weight", {kv_dim, c.dim}, true},
      {"self_attn.v_proj.weight", {kv_dim, c.dim}, true},
      {"self_attn.o_proj.weight", {c.dim, c.dim}, true},
      {"post_attention_layernorm.weight", {c.dim}, true},
      {"mlp.gate_proj.weight", {c.hidden_dim, c.dim}, true},
      {"mlp.down_proj.weight", {c.dim, c.hidden_dim}, true},
      {"mlp.up_proj.weight", {c.hidden_dim, c.dim}, true},
      {"model.norm.weight", {c.dim}},
      // Precomputed cosines and sines, real then imaginary part; readers compute their own.
      {"freq_cis", {2, c.seq_len, c.head_size() / 2}, false, true},
  };
  if (!c.tied_head) kinds.push_back({"lm_head.weight", {c.vocab, c.dim}});
  return kinds;
}

void check_size(const Llama2cConfig& config, const std::vector<Kind>& kinds, std::uint64_t size,
                const std::string& where) {
  // Each product is below 2^62 and there are 13 * 10^4 of them: 128 bits hold the sum.
  __extension__ using Wide = unsigned __int128;
  Wide floats = 0;
  for (const Kind& kind : kinds) {
    const auto repeats = static_cast<Wide>(kind.per_layer ? config.layers : 1);
    floats += repeats * static_cast<Wide>(kind.shape.element_count(kind.name));
  }
  const Wide expected = kHeaderBytes + floats * sizeof(float);
  require(expected == size, where,
          "expected a file of {} bytes for dim {}, hidden_dim {}, n_layers {}, n_heads {}, "
          "n_kv_heads {}, vocab_size {}, seq_len {}; got {} bytes",
          expected, config.dim, config.hidden_dim, config.layers, config.heads, config.kv_heads,
          config.vocab, config.seq_len, size);
}

}  // namespace

Llama2cModel open_llama2c(const std::filesystem::path& path) {
  const auto file = MappedFile::open(path);
  Llama2cModel model;
  model.config = read_header(file->bytes(), path.string());
  const std::vector<Kind> kinds = file_order(model.config);
  check_size(model.config, kinds, file->bytes().size(), path.string());

  std::vector<MappedTensor> tensors;
  std::uint64_t offset = kHeaderBytes;
  for (const Kind& kind : kinds) {
    const std::uint64_t bytes =
        static_cast<std::uint64_t>(kind.shape.element_count()) * sizeof(float);
    for (std::int64_t layer = 0; layer < (kind.per_layer ? model.config.layers : 1); ++layer) {
      std::string name =
          kind.per_layer ? fmt::format("model.layers.{}.{}", layer, kind.name) : kind.name;
      if (!kind.skipped) {
        tensors.push_back(
            {{std::move(name), DType::f32, kind.shape, bytes, "F32", true}, file, offset});
      }
      offset += bytes;
    }
  }
  model.weights = std::make_unique<MappedWeights>(path.string(), std::move(tensors));
  return model;
}

}  // namespace massact
