// What a model is and how it is trained: the two records that every other file here reads.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace massact::train {

enum class Architecture { gpt2, llama, vit };

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

/// The variants that `architecture` can be trained with, in the order above. A vit has no
/// sink-token (its registers are that), no qk-bias and no qkv-bias (its projections have biases).
const std::vector<Attention>& attention_variants(Architecture architecture);

/// Shape of a model. Names in comments are those of HF's config.json.
struct ModelConfig {
  Architecture architecture = Architecture::llama;
  Attention attention = Attention::standard;
  std::int64_t layers = 8;
  std::int64_t width = 128;  // hidden_size, n_embd
  std::int64_t heads = 8;
  std::int64_t kv_heads = 8;    // llama: a divisor of heads; others: equal to heads
  std::int64_t mlp = 344;       // intermediate_size, n_inner; vit: a multiple of width (mlp_ratio)
  std::int64_t vocab = 2048;    // what the logits are over; vit: classes
  std::int64_t context = 128;   // longest sequence, BOS included (not vit)
  double rope_theta = 10000.0;  // llama
  double norm_eps = 1e-5;
  bool tied = false;          // tie_word_embeddings; gpt2: always
  double clip_gamma = -0.03;  // clipped-softmax: clip((eta - gamma) p + gamma, 0, 1)
  double clip_eta = 1.0;

  std::int64_t head_size() const { return width / heads; }
  // vit
  std::int64_t image_size = 32;     // pixels per side, RGB
  std::int64_t patch = 4;           // patch_size
  std::int64_t registers = 0;       // num_register_tokens
  double layer_scale = 1.0;         // layerscale_value: what LayerScale starts with
  std::vector<std::string> labels;  // id2label: `vocab` names

  std::int64_t patches() const { return (image_size / patch) * (image_size / patch); }
  bool operator==(const ModelConfig&) const = default;
};

/// Gives `config` what its architecture leaves no choice about: gpt2 has tied embeddings, vit as
/// many key/value heads as heads, untied weights and DINOv2's norm epsilon.
void settle(ModelConfig& config);

/// Throws UsageError unless the sizes fit together.
void validate(const ModelConfig& config);

/// How a run goes. Everything that shapes the numbers is here, so that it can be stored with a
/// checkpoint and compared on `--resume`.
struct TrainConfig {
  std::int64_t steps = 12000;
  std::int64_t batch = 8;         // sequences (images) per rank and micro-batch
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
  std::int64_t eval_sequences = 64;  // of the validation data, always the same
  std::int64_t eval_interval = 500;
  std::int64_t monitor_interval = 250;
  std::int64_t checkpoint_interval = 1000;

  bool operator==(const TrainConfig&) const = default;
};

/// Throws UsageError unless every value makes sense.
void validate(const TrainConfig& config);

nlohmann::json to_json(const TrainConfig& config);

}  // namespace massact::train
