// The plain vision transformer: ViT, DeiT (with a distillation token) and MAE's encoder.
#include "massact/model/families/vision.h"
#include "massact/model/family.h"

namespace massact {
namespace {

ModelConfig read_vit(const JsonObject& file) {
  const JsonObject config = with_defaults(file, vit_defaults());
  ModelConfig model = read_vision_sizes(config, "vit");
  const bool distilled = model.name == "deit";
  if (distilled) model.vision.class_tokens = model.vision.positioned_tokens = 2;
  count_image_tokens(model);
  model.norm_eps = config.get_or<float>("layer_norm_eps", 1e-12f);
  model.activation = read_activation(config, "hidden_act", "gelu");
  const bool bias = config.get_or<bool>("qkv_bias", true);
  model.biases.q = model.biases.k = model.biases.v = bias;
  const auto names = config.get_or<std::vector<std::string>>("architectures", {});
  const bool teacher = !names.empty() && names.front() == "DeiTForImageClassificationWithTeacher";
  read_classifier(config, teacher ? Pooling::two_class_tokens : Pooling::first_token, model);
  read_attention_variant(config, model);
  return model;
}

WeightTable vit_weights(const ModelConfig& model) {
  const std::int64_t d = model.width, n = model.head.outputs;
  WeightTable table;
  table.prefixes = {model.name == "deit" ? "deit." : "vit.", ""};
  table.add("embed.class", "@embeddings.cls_token", {1, 1, d});
  if (model.vision.class_tokens == 2) {
    table.add("embed.distillation", "@embeddings.distillation_token", {1, 1, d});
  }
  table.ignore("*embeddings.mask_token", "stands for hidden patches in training");
  add_patches(model, "@embeddings.patch_embeddings.projection", table);
  add_positions(model, "@embeddings.position_embeddings", table);
  add_norm(model, "blocks.*.ln1", "@encoder.layer.*.layernorm_before", table);
  add_vit_attention(model, "@encoder.layer.*.attention.", table);
  add_norm(model, "blocks.*.ln2", "@encoder.layer.*.layernorm_after", table);
  add_mlp(model, "@encoder.layer.*.intermediate.dense", "@encoder.layer.*.output.dense", table);
  add_variant_weights(model, "@encoder.layer.*.attention.attention.", table);
  add_norm(model, "ln_final", "@layernorm", table);
  table.ignore("*pooler.dense.*", "a pooler that no classifier reads");
  table.ignore("decoder.*", "MAE's decoder: it paints hidden patches in training");
  if (model.head.pooling == Pooling::two_class_tokens) {
    add_classifier(model, "cls_classifier", table);
    table.add("unembed.W_distilled", "distillation_classifier.weight", {n, d});
    table.add("unembed.b_distilled", "distillation_classifier.bias", {n});
  } else {
    add_classifier(model, "classifier", table);
  }
  return table;
}

}  // namespace

Family vit_family() { return {"vit", {"vit", "deit", "vit_mae"}, read_vit, vit_weights}; }

}  // namespace massact
