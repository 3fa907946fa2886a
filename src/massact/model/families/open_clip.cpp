// OpenCLIP's spelling of CLIP: its configuration, and its names, which are OpenAI's.
#include "massact/model/families/open_clip.h"

#include <algorithm>

#include "massact/base/error.h"
#include "massact/base/suggest.h"
#include "massact/model/families/vision.h"

namespace massact {
namespace {

// Everything else in a tower's configuration changes what it computes.
void require_known(const JsonObject& tower, const std::vector<std::string>& known) {
  for (const std::string& key : tower.keys()) {
    require(!tower.has(key) || std::count(known.begin(), known.end(), key) > 0, tower.where(key),
            "expected one of {}, got a field that CLIP's own towers do not have", join(known));
  }
}

std::int64_t mlp_size(const JsonObject& tower, std::int64_t width) {
  const auto ratio = tower.get_or<double>("mlp_ratio", 4.0);
  require(ratio > 0 && ratio <= 1000, tower.where("mlp_ratio"), "expected 0 to 1000, got {}",
          ratio);
  return static_cast<std::int64_t>(static_cast<double>(width) * ratio);
}

nlohmann::json image_tower(const JsonObject& tower, const char* activation) {
  require_known(tower, {"image_size", "layers", "width", "patch_size", "head_width", "mlp_ratio"});
  const std::int64_t width = read_size(tower, "width", 1 << 20);
  const std::int64_t head = tower.has("head_width") ? read_size(tower, "head_width", 1 << 20) : 64;
  require(width % head == 0, tower.where("head_width"),
          "expected a divisor of the width {}, got {}", width, head);
  return {{"model_type", "clip_vision_model"},
          {"hidden_size", width},
          {"num_attention_heads", width / head},
          {"num_hidden_layers", read_size(tower, "layers", 10000)},
          {"intermediate_size", mlp_size(tower, width)},
          {"image_size", *tower.find("image_size")},
          {"patch_size", read_size(tower, "patch_size", 1 << 16)},
          {"hidden_act", activation}};
}

nlohmann::json text_tower(const JsonObject& tower, const char* activation) {
  require_known(tower, {"context_length", "vocab_size", "width", "heads", "layers", "mlp_ratio"});
  const std::int64_t width = read_size(tower, "width", 1 << 20);
  return {{"model_type", "clip_text_model"},
          {"hidden_size", width},
          {"num_attention_heads", read_size(tower, "heads", 1 << 16)},
          {"num_hidden_layers", read_size(tower, "layers", 10000)},
          {"intermediate_size", mlp_size(tower, width)},
          {"vocab_size", read_size(tower, "vocab_size")},
          {"max_position_embeddings", read_size(tower, "context_length")},
          {"eos_token_id", 2},  // the end of a text is its largest id
          {"hidden_act", activation}};
}

void add_image_ends(const ModelConfig& model, WeightTable& table) {
  table.add("embed.class", "visual.class_embedding", {model.width});
  add_patches(model, "visual.conv1", table);
  add_positions(model, "visual.positional_embedding", table, true);
  add_norm(model, "embed.ln", "visual.ln_pre", table);
  add_norm(model, "ln_final", "visual.ln_post", table);
  table.add("unembed.W_U", "visual.proj", {model.width, model.head.outputs}).layout =
      WeightLayout::in_out;
  for (const char* name : {"transformer.*", "token_embedding.weight", "positional_embedding",
                           "ln_final.*", "text_projection", "text.*"}) {
    table.ignore(name, "the text tower: a model of its own");
  }
}

void add_text_ends(const ModelConfig& model, WeightTable& table) {
  table.prefixes = {"", "text."};
  table.add("embed.W_E", "@token_embedding.weight", {model.vocab, model.width});
  table.add("pos_embed.W_pos", "@positional_embedding", {model.max_positions, model.width});
  add_norm(model, "ln_final", "@ln_final", table);
  table.add("unembed.W_U", "@text_projection", {model.width, model.head.outputs}).layout =
      WeightLayout::in_out;
  table.ignore("visual.*", "the image tower: a model of its own");
}

}  // namespace

JsonObject open_clip_as_hf(const JsonObject& config) {
  const JsonObject model = config.object("model_cfg");
  require_known(model, {"embed_dim", "vision_cfg", "text_cfg", "quick_gelu"});
  const char* activation = model.get_or<bool>("quick_gelu", false) ? "quick_gelu" : "gelu";
  return {{{"model_type", "clip"},
           {"architectures", {"CLIPModel"}},
           {"projection_dim", read_size(model, "embed_dim", 1 << 20)},
           {"vision_config", image_tower(model.object("vision_cfg"), activation)},
           {"text_config", text_tower(model.object("text_cfg"), activation)}},
          config.where("model_cfg")};
}

WeightTable open_clip_weights(const ModelConfig& model) {
  const std::int64_t d = model.width;
  WeightTable table;
  if (model.is_vision()) {
    add_image_ends(model, table);
  } else {
    add_text_ends(model, table);
  }
  const std::string block =
      std::string(model.is_vision() ? "visual." : "@") + "transformer.resblocks.*.";
  add_norm(model, "blocks.*.ln1", block + "ln_1", table);
  std::int64_t first = 0;
  for (const std::string part : {"Q", "K", "V"}) {
    table.add("blocks.*.attn.W_" + part, block + "attn.in_proj_weight", {3 * d, d}).part = {first,
                                                                                            d};
    table.add("blocks.*.attn.b_" + part, block + "attn.in_proj_bias", {3 * d}).part = {first, d};
    first += d;
  }
  add_linear("blocks.*.attn.W_O", block + "attn.out_proj", {d, d}, true, table);
  add_norm(model, "blocks.*.ln2", block + "ln_2", table);
  add_mlp(model, block + "mlp.c_fc", block + "mlp.c_proj", table);
  table.ignore("*attn_mask", "the causal mask, a constant");
  table.ignore("logit_scale", "multiplies the similarity of images and texts");
  for (const char* name : {"input_resolution", "context_length", "vocab_size"}) {
    table.ignore(name, "sizes that OpenAI's archives repeat");
  }
  return table;
}

}  // namespace massact
