// What a model is and how it is trained: the two records that every other file here reads.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace massact {
class JsonObject;
}

namespace massact::train {

enum class Architecture { gpt2, llama };

/// The attention variants; names on disk and on the command line are those of `to_string`.
enum class Attention {
  standard,  ///< "default"
  eab,       ///< explicit attention bias, Eq. 3: learned k', v' per layer and key/value head
  k_bias,    ///< k' only, v' = 0
  v_bias,    ///< v' only, added to each head's output
  qk_bias,   ///< learned biases of the q and k projections
  qkv_bias,  ///< learned biases of the q, k and v projections
  sink_token,
  softmax_off_by_one,
  learned_sink,
  gated,
  sigmoid,
  clipped_softmax,
};

std::string to_string(Architecture architecture);
std::string to_string(Attention attention);

/// The inverse; throws UsageError naming `where` and listing what exists.
Architecture parse_architecture(std::string_view text, std::string_view where);
Attention parse_attention(std::string_view text, std::string_view where);

/// All variants in the order above.
const std::vector<Attention>& all_attention_variants();

/// Shape of a model. Names in comments are those of HF's config.json.
struct ModelConfig {
  Architecture architecture = Architecture::llama;
  Attention attention = Attention::standard;
  std::int64_t layers = 8;
  std::int64_t width = 128;  // hidden_size, n_embd
  std::int64_t heads = 8;
  std::int64_t kv_heads = 8;  // llama: a divisor of heads; gpt2: equal to heads
  std::int64_t mlp = 344;     // intermediate_size, n_inner
  std::int64_t vocab = 2048;
  std::int64_t context = 128;   // longest sequence, BOS included
  double rope_theta = 10000.0;  // llama
  double norm_eps = 1e-5;
  bool tied = false;          // tie_word_embeddings; gpt2: always
  double clip_gamma = -0.03;  // clipped-softmax: clip((eta - gamma) p + gamma, 0, 1)
  double clip_eta = 1.0;

  std::int64_t head_size() const { return width / heads; }
  bool operator==(const ModelConfig&) const = default;
};

/// Throws UsageError unless the sizes fit together.
void validate(const ModelConfig& config);

/// How a run goes. Everything that shapes the numbers is here, so that it can be stored with a
/// checkpoint and compared on `--resume`.
struct TrainConfig {
  std::int64_t steps = 12000;
  std::int64_t batch = 8;         // sequences per rank and micro-batch
  std::int64_t accumulation = 1;  // micro-batches per step
  double lr = 4e-3;
  double min_lr = 4e-4;  // at the last step
  std::int64_t warmup = 200;
  double beta1 = 0.9;
  double beta2 = 0.95;
  double adam_eps = 1e-8;
  double weight_decay = 0.1;
  double clip = 1.0;  // gradient norm; 0: none
  std::uint64_t seed = 1;
  bool bos = true;                   // BOS first in every sequence
  bool bf16 = false;                 // autocast
  std::int64_t eval_sequences = 64;  // of the validation text, always the same
  std::int64_t eval_interval = 500;
  std::int64_t monitor_interval = 250;
  std::int64_t checkpoint_interval = 1000;

  bool operator==(const TrainConfig&) const = default;
};

/// Throws UsageError unless every value makes sense.
void validate(const TrainConfig& config);

/// HF's config.json (with `massact.attention`) of `config`; `dtype` is "float32" or "bfloat16".
nlohmann::json hf_config(const ModelConfig& config, std::string_view dtype, int bos_id);

/// Reads back what `hf_config` writes; throws Error naming file and field.
ModelConfig model_config_from_hf(const JsonObject& json);

nlohmann::json to_json(const TrainConfig& config);

}  // namespace massact::train
