#include "massact/model/sam_geometry.h"

#include <fmt/format.h>

#include <vector>

#include "massact/base/error.h"

namespace massact {
namespace {

constexpr std::string_view kPatches = "image_encoder.patch_embed.proj.weight";

struct Shapes {
  const WeightSource& source;
  std::string_view where;

  bool has(const std::string& name) const {
    return source.find("image_encoder." + name) != nullptr;
  }
  Shape of(const std::string& name, std::size_t rank) const {
    const TensorInfo* info = source.find("image_encoder." + name);
    require(info != nullptr, where,
            "expected image_encoder.{} in a file of SAM, to know the architecture", name);
    require(info->shape.rank() == rank, where, "expected {} dimensions of image_encoder.{}, got {}",
            rank, name, info->shape.to_string());
    return info->shape;
  }
};

// The window is what the first block's relative positions that are not for the whole grid are made
// for.
void read_windows(const Shapes& shapes, std::int64_t layers, std::int64_t grid,
                  nlohmann::json& options) {
  std::vector<std::int64_t> everywhere;
  std::int64_t window = 0;
  for (std::int64_t block = 0; block < layers; ++block) {
    const std::string name = fmt::format("blocks.{}.attn.rel_pos_h", block);
    const std::int64_t side = (shapes.of(name, 2)[0] + 1) / 2;
    if (side == grid) {
      everywhere.push_back(block);
    } else if (window == 0) {
      window = side;
    }
  }
  options["window_size"] = window;
  options["global_attn_indexes"] = everywhere;
}

}  // namespace

nlohmann::json sam_options(const WeightSource& source, std::string_view where) {
  if (source.find(kPatches) == nullptr) return nullptr;
  const Shapes shapes{source, where};
  const Shape patches = shapes.of("patch_embed.proj.weight", 4);
  const Shape positions = shapes.of("pos_embed", 4);
  const Shape relative = shapes.of("blocks.0.attn.rel_pos_h", 2);
  require(positions[1] == positions[2] && patches[2] == patches[3] && relative[1] > 0, where,
          "expected square images and patches in a file of SAM, got positions {} and patches {}",
          positions.to_string(), patches.to_string());
  std::int64_t layers = 0;
  while (shapes.has(fmt::format("blocks.{}.norm1.weight", layers))) ++layers;
  nlohmann::json options = {{"model_type", "sam_image_encoder"},
                            {"hidden_size", patches[0]},
                            {"num_channels", patches[1]},
                            {"patch_size", patches[2]},
                            {"image_size", positions[1] * patches[2]},
                            {"num_hidden_layers", layers},
                            {"num_attention_heads", patches[0] / relative[1]},
                            {"mlp_dim", shapes.of("blocks.0.mlp.lin1.weight", 2)[0]},
                            {"qkv_bias", shapes.has("blocks.0.attn.qkv.bias")},
                            {"output_channels", shapes.of("neck.0.weight", 4)[0]}};
  read_windows(shapes, layers, positions[1], options);
  return options;
}

}  // namespace massact
