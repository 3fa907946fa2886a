// The tensors of SAM's image encoder, under the names of HF, Meta and timm.
#include <array>

#include "massact/model/families/sam.h"
#include "massact/model/families/vision.h"

namespace massact {
namespace {

// What three projects call the same tensors.
struct Names {
  std::vector<std::string> prefixes;
  std::string patches, block, norm, mlp_in, mlp_out;
  std::array<std::string, 4> neck;  // projection, norm, convolution, norm
};

Names names_of(const ModelConfig& model) {
  if (model.name == "sam_image_encoder") {
    return {{"image_encoder.", ""}, "proj", "blocks", "norm", "lin1", "lin2", {"0", "1", "2", "3"}};
  }
  if (model.family == "timm") {
    return {{"", "timm_model."}, "proj", "blocks", "norm", "fc1", "fc2", {"0", "1", "2", "3"}};
  }
  return {{"vision_encoder.", ""},
          "projection",
          "layers",
          "layer_norm",
          "lin1",
          "lin2",
          {"conv1", "layer_norm1", "conv2", "layer_norm2"}};
}

// The tables' sizes differ from block to block.
void add_relative_positions(const ModelConfig& model, const std::string& blocks,
                            WeightTable& table) {
  const PatchGrid grid = model.vision.trained_grid();
  for (std::int64_t block = 0; block < model.layers; ++block) {
    const std::int64_t window = model.vision.window_of(block);
    const std::string number = std::to_string(block);
    const auto add = [&](const char* canonical, const char* source, std::int64_t side) {
      table.add("blocks." + number + ".attn." + canonical, "@" + blocks + "." + number + source,
                {2 * (window > 0 ? window : side) - 1, model.head_size});
    };
    add("rel_rows", ".attn.rel_pos_h", grid.rows);
    add("rel_columns", ".attn.rel_pos_w", grid.columns);
  }
}

void add_neck(const ModelConfig& model, const Names& names, WeightTable& table) {
  const std::int64_t n = model.head.outputs;
  const auto source = [&](std::size_t part) { return "@neck." + names.neck[part]; };
  table.add("head.W_project", source(0) + ".weight", {n, model.width, 1, 1});
  table.add("head.W_convolve", source(2) + ".weight", {n, n, 3, 3});
  for (const std::size_t norm : {std::size_t{1}, std::size_t{2}}) {
    const std::string canonical = "head.ln" + std::to_string(norm);
    table.add(canonical + ".w", source(2 * norm - 1) + ".weight", {n});
    table.add(canonical + ".b", source(2 * norm - 1) + ".bias", {n});
  }
}

}  // namespace

WeightTable sam_weights(const ModelConfig& model) {
  const Names names = names_of(model);
  const PatchGrid grid = model.vision.trained_grid();
  const std::string block = "@" + names.block + ".*.";
  WeightTable table;
  table.prefixes = names.prefixes;
  add_patches(model, "@patch_embed." + names.patches, table);
  if (model.positions == PositionKind::learned) {
    table.add("pos_embed.W_pos", "@pos_embed", {1, grid.rows, grid.columns, model.width});
  }
  add_norm(model, "blocks.*.ln1", block + names.norm + "1", table);
  add_fused_attention(model, FusedLayout::stacked, block + "attn.qkv", block + "attn.proj", table);
  if (model.vision.relative_positions) add_relative_positions(model, names.block, table);
  add_norm(model, "blocks.*.ln2", block + names.norm + "2", table);
  add_mlp(model, block + "mlp." + names.mlp_in, block + "mlp." + names.mlp_out, table);
  add_neck(model, names, table);
  table.ignore("prompt_encoder.*", "SAM's prompt encoder");
  table.ignore("mask_decoder.*", "SAM's mask decoder");
  table.ignore("shared_image_embedding.*", "positions for SAM's mask decoder");
  return table;
}

}  // namespace massact
