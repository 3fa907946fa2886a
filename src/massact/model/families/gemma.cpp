// Gemma 1, 2 and 3 (its text part): embeddings times sqrt(d), norms that multiply by 1 + weight,
// GeGLU. 2: norms around each branch, soft caps, every other layer local. 3: norms on queries and
// keys instead of soft caps, five of six layers local with rotary frequencies of their own.
#include <cmath>

#include "massact/base/error.h"
#include "massact/model/families/common.h"
#include "massact/model/family.h"

namespace massact {
namespace {

// Global layers use rope_theta with its scaling, local ones a base of their own.
void read_gemma3_rotary(const JsonObject& config, ModelConfig& model) {
  const RopeFields global = {.default_base = 1e6}, local = {.base = "rope_local_base_freq"};
  model.positions = PositionKind::rotary;
  const auto nested = [&](const char* type) {
    return config.has("rope_parameters") && config.object("rope_parameters").has(type);
  };
  if (nested("full_attention") || nested("sliding_attention")) {
    const JsonObject both = config.object("rope_parameters");
    model.rope =
        read_rope_parameters(config, both.object("full_attention"), model.head_size, global);
    model.local_rope =
        read_rope_parameters(config, both.object("sliding_attention"), model.head_size, local);
    return;
  }
  model.rope = read_rope_config(config, model.head_size, global);
  const JsonObject unscaled(nlohmann::json::object(), config.where("rope_local_base_freq"));
  model.local_rope = read_rope_parameters(config, unscaled, model.head_size, local);
}

void read_gemma2(const JsonObject& config, ModelConfig& model) {
  model.norm_placement = NormPlacement::around;
  const auto scalar = config.get_or<double>("query_pre_attn_scalar", 256);
  require(scalar > 0, config.where("query_pre_attn_scalar"), "expected a positive number, got {}",
          scalar);
  model.attention_scale = static_cast<float>(1.0 / std::sqrt(scalar));
  const bool second = model.name == "gemma2";
  const auto cap = [&](std::string_view field, float otherwise) {
    // An explicit null switches the cap off.
    const auto keys = config.keys();
    const bool given = std::find(keys.begin(), keys.end(), field) != keys.end();
    return config.get_or<float>(field, second && !given ? otherwise : 0.0f);
  };
  if (second) model.attention_soft_cap = cap("attn_logit_softcapping", 50.0f);
  model.logit_soft_cap = second ? cap("final_logit_softcapping", 30.0f) : 0.0f;
  const std::int64_t window =
      config.has("sliding_window") ? read_size(config, "sliding_window") : 4096;
  const auto pattern =
      second ? 2
             : std::max<std::int64_t>(1, config.get_or<std::int64_t>("sliding_window_pattern", 6));
  read_windows(
      config, window, [&](std::int64_t block) { return (block + 1) % pattern != 0; }, model);
}

ModelConfig read_gemma_text(const JsonObject& config) {
  const auto type = config.get<std::string>("model_type");
  const bool first = type == "gemma", third = type == "gemma3_text";
  SizeFields fields;
  fields.default_head_size = 256;
  fields.default_positions = third ? 131072 : 8192;
  ModelConfig model = read_sizes(config, "gemma", fields);
  read_norm(config, NormKind::rms, "rms_norm_eps", 1e-6f, model);
  model.norm_weight_offset = 1.0f;
  model.embed_scale = static_cast<float>(std::sqrt(static_cast<double>(model.width)));
  if (third) {
    read_gemma3_rotary(config, model);
    model.qk_norm = QkNorm::shared_by_heads;
  } else {
    read_rotary(config, model);
  }
  model.activation =
      read_activation(config, first ? "hidden_act" : "hidden_activation", "gelu_pytorch_tanh");
  // The first releases say "gelu" and mean its approximation.
  if (first && model.activation == ops::Activation::gelu) {
    model.activation = ops::Activation::gelu_tanh;
  }
  model.gated_mlp = true;
  const bool bias = config.get_or<bool>("attention_bias", false);
  model.biases = {.q = bias, .k = bias, .v = bias, .attn_out = bias};
  model.tied_embeddings = config.get_or<bool>("tie_word_embeddings", true);
  require(!config.get_or<bool>("use_bidirectional_attention", false),
          config.where("use_bidirectional_attention"), "expected false (a decoder), got true");
  if (!first) read_gemma2(config, model);
  return model;
}

// A checkpoint that also sees images keeps the decoder's configuration in an object of its own.
ModelConfig read_gemma(const JsonObject& config) {
  if (config.get<std::string>("model_type") != "gemma3") return read_gemma_text(config);
  const JsonObject text = config.object("text_config");
  nlohmann::json decoder = nlohmann::json::object();
  for (const std::string& key : text.keys()) {
    if (text.has(key)) decoder[key] = *text.find(key);
  }
  decoder["model_type"] = "gemma3_text";
  if (!decoder.contains("num_attention_heads")) decoder["num_attention_heads"] = 8;
  if (!decoder.contains("num_key_value_heads")) decoder["num_key_value_heads"] = 4;
  if (!decoder.contains("vocab_size")) decoder["vocab_size"] = 262208;
  if (!decoder.contains("max_position_embeddings")) decoder["max_position_embeddings"] = 131072;
  return read_gemma_text(JsonObject(std::move(decoder), config.where("text_config")));
}

WeightTable gemma_weights(const ModelConfig& model) {
  WeightTable table;
  table.prefixes = {"model.", "", "language_model.model.", "model.language_model."};
  const std::string attention = "@layers.*.self_attn.", mlp = "@layers.*.mlp.";
  const bool around = model.has_branch_norms();
  table.add("embed.W_E", "@embed_tokens.weight", {model.vocab, model.width});
  add_norm(model, "blocks.*.ln1", "@layers.*.input_layernorm", table);
  add_attention(model, attention, "o_proj", table);
  add_qk_norms(model, attention + "q_norm", attention + "k_norm", table);
  add_norm(model, around ? "blocks.*.ln1_post" : "blocks.*.ln2",
           "@layers.*.post_attention_layernorm", table);
  if (around) {
    add_norm(model, "blocks.*.ln2", "@layers.*.pre_feedforward_layernorm", table);
    add_norm(model, "blocks.*.ln2_post", "@layers.*.post_feedforward_layernorm", table);
  }
  add_mlp(model, mlp + "up_proj", mlp + "down_proj", table, mlp + "gate_proj");
  add_norm(model, "ln_final", "@norm", table);
  table.ignore("*rotary_emb.inv_freq", "rotary frequencies are computed from the config");
  table.ignore("*vision_tower.*", "the image encoder: only the text part is read");
  table.ignore("*multi_modal_projector.*", "joins images: only the text part is read");
  add_unembedding(model, table);
  return table;
}

}  // namespace

Family gemma_family() {
  return {"gemma", {"gemma", "gemma2", "gemma3", "gemma3_text"}, read_gemma, gemma_weights};
}

}  // namespace massact
