// gpt-oss: learned sinks, a sliding window in every other block, biases, YaRN; experts in every
// block with a clamped SwiGLU, all of them in one tensor, gates and inputs in turns.
#include "massact/base/error.h"
#include "massact/model/families/common.h"
#include "massact/model/families/experts.h"
#include "massact/model/family.h"

namespace massact {
namespace {

ModelConfig read_gpt_oss(const JsonObject& config) {
  SizeFields fields;
  fields.default_kv_heads = 8;
  fields.default_head_size = 64;
  fields.default_positions = 131072;
  ModelConfig model = read_sizes(config, "gpt_oss", fields);
  read_norm(config, NormKind::rms, "rms_norm_eps", 1e-5f, model);
  read_rotary(config, model, {.default_base = 150000.0});
  model.gated_mlp = true;
  model.tied_embeddings = config.get_or<bool>("tie_word_embeddings", false);
  const bool bias = config.get_or<bool>("attention_bias", true);
  model.biases = {.q = bias, .k = bias, .v = bias, .attn_out = bias};
  model.variant = AttentionVariant::learned_sink;
  if (config.has("sliding_window")) {
    read_windows(
        config, read_size(config, "sliding_window"),
        [](std::int64_t block) { return block % 2 == 0; }, model);
  }
  read_experts(config, "num_local_experts", model.mlp_size, model);
  model.moe.router = RouterKind::choose_then_softmax;
  model.moe.biases = true;
  model.moe.kind = ExpertKind::clamped_swiglu;
  model.moe.swiglu_alpha = config.get_or<float>("swiglu_alpha", 1.702f);
  model.moe.swiglu_limit = config.get_or<float>("swiglu_limit", 7.0f);
  const bool packed =
      config.has("quantization_config") &&
      config.object("quantization_config").get<std::string>("quant_method") == "mxfp4";
  model.moe.in_out = !packed;
  require(model.moe.swiglu_limit > 0, config.where("swiglu_limit"), "expected more than 0, got {}",
          model.moe.swiglu_limit);
  return model;
}

// MXFP4 files hold the projections as [outputs, inputs], others as [inputs, outputs].
void add_stacked_experts(const ModelConfig& model, const std::string& source, WeightTable& table) {
  const std::int64_t E = model.moe.experts, d = model.width, f = model.moe.size;
  const WeightLayout layout = model.moe.in_out ? WeightLayout::in_out : WeightLayout::out_in;
  for (std::int64_t e = 0; e < E; ++e) {
    const auto add = [&](const char* name, const std::string& tensor, Shape shape, FusedPart part) {
      WeightSpec& spec = table.add(expert_name(e) + name, source + tensor, std::move(shape));
      spec.part = part;
      spec.expert = e;
      spec.layout = layout;
    };
    const Shape in = model.moe.in_out ? Shape{E, d, 2 * f} : Shape{E, 2 * f, d};
    const Shape out = model.moe.in_out ? Shape{E, f, d} : Shape{E, d, f};
    const FusedPart gate = {.first = 0, .count = 1, .period = 2, .runs = f};
    const FusedPart up = {.first = 1, .count = 1, .period = 2, .runs = f};
    add("W_gate", "gate_up_proj", in, gate);
    add("W_in", "gate_up_proj", in, up);
    add("W_out", "down_proj", out, {});
    add("b_gate", "gate_up_proj_bias", {E, 2 * f}, gate);
    add("b_in", "gate_up_proj_bias", {E, 2 * f}, up);
    add("b_out", "down_proj_bias", {E, d}, {});
  }
}

WeightTable gpt_oss_weights(const ModelConfig& model) {
  WeightTable table;
  table.prefixes = {"model.", ""};
  const std::string attention = "@layers.*.self_attn.", mlp = "@layers.*.mlp.";
  table.add("embed.W_E", "@embed_tokens.weight", {model.vocab, model.width});
  add_norm(model, "blocks.*.ln1", "@layers.*.input_layernorm", table);
  add_attention(model, attention, "o_proj", table);
  add_norm(model, "blocks.*.ln2", "@layers.*.post_attention_layernorm", table);
  add_router(model, mlp + "router", table);
  add_stacked_experts(model, mlp + "experts.", table);
  add_norm(model, "ln_final", "@norm", table);
  add_variant_weights(model, attention, table);
  add_unembedding(model, table);
  return table;
}

}  // namespace

Family gpt_oss_family() { return {"gpt_oss", {"gpt_oss"}, read_gpt_oss, gpt_oss_weights}; }

}  // namespace massact
