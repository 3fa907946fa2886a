#include "massact/model/families/towers.h"

#include "massact/model/families/common.h"

namespace massact {

void add_tower_blocks(const ModelConfig& model, WeightTable& table) {
  add_norm(model, "blocks.*.ln1", "@encoder.layers.*.layer_norm1", table);
  add_attention(model, "@encoder.layers.*.self_attn.", "out_proj", table);
  add_norm(model, "blocks.*.ln2", "@encoder.layers.*.layer_norm2", table);
  add_mlp(model, "@encoder.layers.*.mlp.fc1", "@encoder.layers.*.mlp.fc2", table);
  table.ignore("*embeddings.position_ids", "0, 1, 2, …");
  table.ignore("logit_scale", "multiplies the similarity of images and texts");
}

void add_tower_text(const ModelConfig& model, WeightTable& table) {
  table.prefixes = {"text_model.", ""};
  table.add("embed.W_E", "@embeddings.token_embedding.weight", {model.vocab, model.width});
  table.add("pos_embed.W_pos", "@embeddings.position_embedding.weight",
            {model.max_positions, model.width});
  add_norm(model, "ln_final", "@final_layer_norm", table);
}

}  // namespace massact
