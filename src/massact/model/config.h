// What an architecture is: the options of the one generic block. Families fill it from a file's
// own configuration; nothing here is ever guessed from which weights exist.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "massact/model/rope_config.h"
#include "massact/ops/activation.h"

namespace massact {

enum class NormKind : std::uint8_t { rms, layer };
enum class PositionKind : std::uint8_t { none, learned, rotary };

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
};

struct ModelConfig {
  std::string family;  ///< registry name, "llama"
  std::string name;    ///< what the file calls itself ("LlamaForCausalLM")

  std::int64_t layers = 0;
  std::int64_t width = 0;      ///< d
  std::int64_t heads = 0;      ///< H
  std::int64_t kv_heads = 0;   ///< G
  std::int64_t head_size = 0;  ///< c
  std::int64_t mlp_size = 0;   ///< f
  std::int64_t vocab = 0;
  std::int64_t max_positions = 0;

  NormKind norm = NormKind::rms;
  float norm_eps = 1e-5f;

  PositionKind positions = PositionKind::rotary;
  RopeConfig rope;

  float attention_scale = 0.0f;         ///< 1/sqrt(c) in most families
  bool scale_by_inverse_layer = false;  ///< GPT-2 option: scale / (block + 1)
  std::vector<std::int64_t> windows;    ///< [layers] sliding window per block, 0: none

  ops::Activation activation = ops::Activation::silu;
  bool gated_mlp = true;
  Biases biases;
  bool tied_embeddings = false;

  AttentionVariant variant = AttentionVariant::standard;
  float clip_gamma = 0.0f;
  float clip_eta = 1.0f;

  /// True if attention has a column 0 that is no token (EAB, K-bias, off-by-one, learned sink).
  bool has_slot() const {
    return variant == AttentionVariant::eab || variant == AttentionVariant::k_bias ||
           variant == AttentionVariant::softmax_off_by_one ||
           variant == AttentionVariant::learned_sink;
  }
  /// Rows put before the text (the sink token).
  std::int64_t prefix_rows() const { return variant == AttentionVariant::sink_token ? 1 : 0; }
};

/// "eab" and so on, as in config.json's "massact" object.
std::string_view name_of(AttentionVariant variant);
/// Throws Error naming `where` and the known names.
AttentionVariant parse_attention_variant(std::string_view name, std::string_view where);

}  // namespace massact
