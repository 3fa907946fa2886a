// What an architecture is: the options of the one generic block. Families fill it from a file's
// own configuration; nothing here is ever guessed from which weights exist.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "massact/model/moe_config.h"
#include "massact/model/rope_config.h"
#include "massact/model/vision_config.h"
#include "massact/ops/activation.h"

namespace massact {

enum class NormKind : std::uint8_t { rms, layer };

/// Where a block's norms stand. A branch is attention or the MLP with what it adds to the stream.
enum class NormPlacement : std::uint8_t {
  before,        ///< ln1 and ln2 on what attention and the MLP read (pre-norm)
  after_sum,     ///< ln1 and ln2 on the stream behind each sum (post-norm; OPT-350m)
  after_branch,  ///< ln1_post and ln2_post on what a branch adds (OLMo 2)
  around         ///< both: ln1 and ln2 before, ln1_post and ln2_post behind (Gemma 2 and 3)
};

/// What the MLP reads.
enum class BlockOrder : std::uint8_t {
  sequential,      ///< the stream after attention
  parallel,        ///< what attention reads too, through its own norm (GPT-NeoX, Falcon-40B)
  parallel_shared  ///< the very values that attention reads (GPT-J, Phi, Falcon-7B)
};

/// A norm on queries and keys, of the model's norm kind.
enum class QkNorm : std::uint8_t {
  none,
  shared_by_heads,  ///< over a head's dimensions, the same weights for all heads (Qwen3, Gemma 3)
  each_head,        ///< over a head's dimensions, each head its own weights (StableLM 2)
  whole             ///< over all heads' dimensions at once (OLMo 2)
};

enum class PositionKind : std::uint8_t { none, learned, rotary, alibi };

/// Attention with linear biases (arXiv 2108.12409): score += b(key) - b(query), b(t) = slope * t.
struct AlibiConfig {
  std::vector<float> slopes;  ///< [H]
  float factor = 1.0f;        ///< multiplies the biases
  bool in_bf16 = false;       ///< slopes and biases are rounded to bf16 (Falcon)

  bool operator==(const AlibiConfig&) const = default;
};

/// The attention variants of docs/attention-variants.md.
enum class AttentionVariant : std::uint8_t {
  standard,
  eab,
  k_bias,
  v_bias,
  qk_bias,
  qkv_bias,
  sink_token,
  softmax_off_by_one,
  learned_sink,
  gated,
  sigmoid,
  clipped_softmax
};

/// Which projections carry a bias.
struct Biases {
  bool q = false, k = false, v = false, attn_out = false;
  bool mlp_in = false, mlp_out = false;
  bool unembed = false;

  bool operator==(const Biases&) const = default;
};

struct ModelConfig {
  std::string family;  ///< registry name, "llama"
  std::string name;    ///< what the file calls itself ("LlamaForCausalLM")

  std::int64_t layers = 0;
  std::int64_t width = 0;          ///< d
  std::int64_t heads = 0;          ///< H
  std::int64_t kv_heads = 0;       ///< G
  std::int64_t head_size = 0;      ///< c
  std::int64_t mlp_size = 0;       ///< f
  std::int64_t vocab = 0;          ///< 0: a vision model
  std::int64_t max_positions = 0;  ///< vision models: tokens of an image of the usual size

  NormKind norm = NormKind::rms;
  float norm_eps = 1e-5f;
  bool norm_weight = true;  ///< false: nothing learned in the norms (OLMo)
  bool norm_bias = false;
  float norm_weight_offset = 0.0f;  ///< 1: norms multiply by 1 + weight (Gemma)
  NormPlacement norm_placement = NormPlacement::before;
  bool final_norm = true;
  BlockOrder order = BlockOrder::sequential;

  PositionKind positions = PositionKind::rotary;
  RopeConfig rope;
  std::optional<RopeConfig> local_rope;  ///< of blocks with a sliding window, if another one
  AlibiConfig alibi;
  std::int64_t position_offset = 0;  ///< row of the learned position of the first token

  std::int64_t embed_size = 0;  ///< of a token's vector before its projection to d; 0: none
  float embed_scale = 1.0f;     ///< multiplies token embeddings
  bool embed_norm = false;      ///< a norm on token embeddings (BLOOM)
  float logit_scale = 1.0f;     ///< multiplies the logits
  float logit_soft_cap = 0.0f;  ///< > 0: logits = cap * tanh(logits / cap)

  float attention_scale = 0.0f;         ///< 1/sqrt(c) in most families
  bool scale_by_inverse_layer = false;  ///< GPT-2 option: scale / (block + 1)
  float attention_soft_cap = 0.0f;      ///< > 0: score = cap * tanh(score / cap)
  float clip_qkv = 0.0f;                ///< > 0: q, k, v are clamped to [-clip, clip]
  QkNorm qk_norm = QkNorm::none;
  bool causal = true;                 ///< false: every token sees every other one
  std::vector<std::int64_t> windows;  ///< [layers] sliding window per block, 0: none

  ops::Activation activation = ops::Activation::silu;
  bool gated_mlp = true;
  bool layer_scale = false;  ///< learned factors on what attention and MLP add (arXiv 2103.17239)
  MoeConfig moe;
  Biases biases;
  bool tied_embeddings = false;

  AttentionVariant variant = AttentionVariant::standard;
  float clip_gamma = 0.0f;
  float clip_eta = 1.0f;

  VisionConfig vision;
  HeadConfig head;

  bool operator==(const ModelConfig&) const = default;

  /// True if the model reads images instead of tokens.
  bool is_vision() const { return vision.patch_height > 0; }
  /// Columns of hook_logits; 0 for a model without a head.
  std::int64_t logit_count() const { return head.kind == HeadKind::tokens ? vocab : head.outputs; }
  /// True if attention has a column 0 that is no token (EAB, K-bias, off-by-one, learned sink, the
  /// padding of windows of patches).
  bool has_slot() const {
    return variant == AttentionVariant::eab || variant == AttentionVariant::k_bias ||
           variant == AttentionVariant::softmax_off_by_one ||
           variant == AttentionVariant::learned_sink || vision.has_windows();
  }
  /// True if ln1 and ln2, or ln1_post and ln2_post, are there.
  bool has_norms() const { return norm_placement != NormPlacement::after_branch; }
  bool has_branch_norms() const {
    return norm_placement == NormPlacement::after_branch || norm_placement == NormPlacement::around;
  }
  /// The rotary frequencies of block `block`.
  const RopeConfig& rope_of(std::int64_t block) const {
    const bool local = local_rope && windows[static_cast<std::size_t>(block)] > 0;
    return local ? *local_rope : rope;
  }
  /// Rows put before the text (the sink token).
  std::int64_t prefix_rows() const { return variant == AttentionVariant::sink_token ? 1 : 0; }
};

/// "eab" and so on, as in config.json's "massact" object.
std::string_view name_of(AttentionVariant variant);
/// Throws Error naming `where` and the known names.
AttentionVariant parse_attention_variant(std::string_view name, std::string_view where);

}  // namespace massact
