#include "train/hf_config.h"

#include <nlohmann/json.hpp>
#include <string>

#include "massact/base/error.h"
#include "massact/io/json.h"

namespace massact::train {
namespace {

using Json = nlohmann::json;

constexpr const char* kDinov2 = "dinov2";
constexpr const char* kDinov2WithRegisters = "dinov2_with_registers";
constexpr int kBicubic = 3;  // PIL's number

Json gpt2_config(const ModelConfig& c) {
  return {{"architectures", {"GPT2LMHeadModel"}},
          {"model_type", "gpt2"},
          {"n_layer", c.layers},
          {"n_head", c.heads},
          {"n_embd", c.width},
          {"n_inner", c.mlp},
          {"n_positions", c.context},
          {"activation_function", "gelu"},
          {"layer_norm_epsilon", c.norm_eps},
          {"attn_pdrop", 0.0},
          {"embd_pdrop", 0.0},
          {"resid_pdrop", 0.0}};
}

Json llama_config(const ModelConfig& c) {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"num_hidden_layers", c.layers},
          {"num_attention_heads", c.heads},
          {"num_key_value_heads", c.kv_heads},
          {"hidden_size", c.width},
          {"intermediate_size", c.mlp},
          {"max_position_embeddings", c.context},
          {"hidden_act", "silu"},
          {"rms_norm_eps", c.norm_eps},
          {"rope_theta", c.rope_theta},
          {"attention_bias", false},
          {"mlp_bias", false}};
}

Json vit_config(const ModelConfig& c) {
  const bool registers = c.registers > 0;
  Json json = {
      {"architectures",
       {registers ? "Dinov2WithRegistersForImageClassification" : "Dinov2ForImageClassification"}},
      {"model_type", registers ? kDinov2WithRegisters : kDinov2},
      {"num_hidden_layers", c.layers},
      {"num_attention_heads", c.heads},
      {"hidden_size", c.width},
      {"mlp_ratio", c.mlp / c.width},
      {"image_size", c.image_size},
      {"patch_size", c.patch},
      {"num_channels", 3},
      {"hidden_act", "gelu"},
      {"layer_norm_eps", c.norm_eps},
      {"layerscale_value", c.layer_scale},
      {"qkv_bias", true},
      {"use_swiglu_ffn", false}};
  if (registers) json["num_register_tokens"] = c.registers;
  for (std::size_t i = 0; i < c.labels.size(); ++i) {
    json["id2label"][std::to_string(i)] = c.labels[i];
    json["label2id"][c.labels[i]] = i;
  }
  return json;
}

/// What every language model has, with other names in gpt2 and llama.
void read_text_model(const JsonObject& json, ModelConfig& c) {
  const bool gpt2 = c.architecture == Architecture::gpt2;
  const auto integer = [&](const char* gpt2_name, const char* llama_name) {
    return json.get<std::int64_t>(gpt2 ? gpt2_name : llama_name);
  };
  c.layers = integer("n_layer", "num_hidden_layers");
  c.heads = integer("n_head", "num_attention_heads");
  c.kv_heads = integer("n_head", "num_key_value_heads");
  c.width = integer("n_embd", "hidden_size");
  c.mlp = integer("n_inner", "intermediate_size");
  c.context = integer("n_positions", "max_position_embeddings");
  c.vocab = json.get<std::int64_t>("vocab_size");
  c.norm_eps = json.get<double>(gpt2 ? "layer_norm_epsilon" : "rms_norm_eps");
  c.tied = json.get<bool>("tie_word_embeddings");
  if (!gpt2) c.rope_theta = json.get<double>("rope_theta");
}

void read_vit(const JsonObject& json, ModelConfig& c) {
  c.layers = json.get<std::int64_t>("num_hidden_layers");
  c.heads = c.kv_heads = json.get<std::int64_t>("num_attention_heads");
  c.width = json.get<std::int64_t>("hidden_size");
  c.mlp = c.width * json.get<std::int64_t>("mlp_ratio");
  c.image_size = json.get<std::int64_t>("image_size");
  c.patch = json.get<std::int64_t>("patch_size");
  c.norm_eps = json.get<double>("layer_norm_eps");
  c.layer_scale = json.get<double>("layerscale_value");
  if (json.get<std::string>("model_type") == kDinov2WithRegisters) {
    c.registers = json.get<std::int64_t>("num_register_tokens");
  }
  const JsonObject names = json.object("id2label");
  c.vocab = std::int64_t(names.keys().size());
  for (std::int64_t i = 0; i < c.vocab; ++i) {
    c.labels.push_back(names.get<std::string>(std::to_string(i)));
  }
}

Architecture architecture_of(const JsonObject& json) {
  const auto type = json.get<std::string>("model_type");
  if (type == kDinov2 || type == kDinov2WithRegisters) return Architecture::vit;
  return parse_architecture(type, json.where("model_type"));
}

}  // namespace

Json hf_config(const ModelConfig& c, std::string_view dtype, int bos_id) {
  Json json = {{"torch_dtype", dtype}, {"massact", {{"attention", to_string(c.attention)}}}};
  if (c.attention == Attention::clipped_softmax) {
    json["massact"]["gamma"] = c.clip_gamma;
    json["massact"]["eta"] = c.clip_eta;
  }
  if (c.architecture == Architecture::vit) {
    json.update(vit_config(c));
    return json;
  }
  json.update(c.architecture == Architecture::gpt2 ? gpt2_config(c) : llama_config(c));
  json["vocab_size"] = c.vocab;
  json["bos_token_id"] = bos_id;
  json["eos_token_id"] = nullptr;
  json["tie_word_embeddings"] = c.tied;
  return json;
}

ModelConfig model_config_from_hf(const JsonObject& json) {
  ModelConfig c;
  c.architecture = architecture_of(json);
  if (c.architecture == Architecture::vit) {
    read_vit(json, c);
  } else {
    read_text_model(json, c);
  }
  const JsonObject extra = json.object("massact");
  c.attention = parse_attention(extra.get<std::string>("attention"), extra.where("attention"));
  if (c.attention == Attention::clipped_softmax) {
    c.clip_gamma = extra.get<double>("gamma");
    c.clip_eta = extra.get<double>("eta");
  }
  validate(c);
  return c;
}

Json hf_preprocessor(const ModelConfig& c) {
  const auto every_channel = [](double value) { return Json::array({value, value, value}); };
  return {{"image_processor_type", "BitImageProcessor"},
          {"do_convert_rgb", true},
          {"do_resize", true},
          {"size", {{"shortest_edge", c.image_size}}},
          {"resample", kBicubic},
          {"do_center_crop", true},
          {"crop_size", {{"height", c.image_size}, {"width", c.image_size}}},
          {"do_rescale", true},
          {"rescale_factor", 1.0 / 255.0},
          {"do_normalize", true},
          {"image_mean", every_channel(kPixelMean)},
          {"image_std", every_channel(kPixelStd)}};
}

}  // namespace massact::train
