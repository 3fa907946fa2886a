#include "massact/model/openai_clip.h"

#include <cmath>
#include <limits>

#include "massact/base/error.h"

namespace massact {
namespace {

constexpr std::int64_t kHeadSize = 64;

class Shapes {
 public:
  Shapes(const WeightSource& weights, const std::string& where)
      : weights_(weights), where_(where) {}

  // Extent `axis` of a tensor of `rank` axes.
  std::int64_t extent(const std::string& name, std::int64_t rank, std::int64_t axis) const {
    const TensorInfo* info = weights_.find(name);
    require(info != nullptr && std::ssize(info->shape.extents()) == rank, where_,
            "expected {} with {} axes, as OpenAI's CLIP has it, got {}", name, rank,
            info == nullptr ? "none" : info->shape.to_string());
    require(info->shape[axis] > 0, where_, "expected {} with elements", name);
    return info->shape[axis];
  }
  std::int64_t blocks(const std::string& prefix) const {
    std::int64_t count = 0;
    while (weights_.find(fmt::format("{}{}.ln_1.weight", prefix, count)) != nullptr) ++count;
    return count;
  }
  // Of the MLP's width to the block's.
  double mlp_ratio(const std::string& prefix, std::int64_t width) const {
    const std::int64_t size = extent(prefix + "0.mlp.c_fc.weight", 2, 0);
    // Upwards, so that the product's whole part is the size again.
    return std::nextafter(static_cast<double>(size) / static_cast<double>(width),
                          std::numeric_limits<double>::infinity());
  }
  std::int64_t heads(std::int64_t width) const {
    require(width % kHeadSize == 0, where_, "expected a width of whole heads of {}, got {}",
            kHeadSize, width);
    return width / kHeadSize;
  }

 private:
  const WeightSource& weights_;
  const std::string& where_;
};

}  // namespace

nlohmann::json openai_clip_options(const WeightSource& weights, const std::string& where) {
  const bool clip = weights.find("visual.conv1.weight") != nullptr &&
                    weights.find("text_projection") != nullptr &&
                    weights.find("token_embedding.weight") != nullptr;
  if (!clip) return nullptr;
  require(weights.find("visual.class_embedding") != nullptr, where,
          "expected one of CLIP's vision transformers, got a ResNet");
  const Shapes shapes(weights, where);
  const std::string image = "visual.transformer.resblocks.", text = "transformer.resblocks.";
  const std::int64_t width = shapes.extent("visual.conv1.weight", 4, 0);
  const std::int64_t patch = shapes.extent("visual.conv1.weight", 4, 3);
  const std::int64_t patches = shapes.extent("visual.positional_embedding", 2, 0) - 1;
  const auto side = std::llround(std::sqrt(static_cast<double>(patches)));
  require(side > 0 && side * side == patches, where, "expected a square of patches, got {}",
          patches);
  shapes.heads(width);
  const std::int64_t text_width = shapes.extent("ln_final.weight", 1, 0);
  return {{"model_type", "open_clip"},
          {"model_cfg",
           {{"embed_dim", shapes.extent("text_projection", 2, 1)},
            {"quick_gelu", true},
            {"vision_cfg",
             {{"image_size", patch * side},
              {"layers", shapes.blocks(image)},
              {"width", width},
              {"head_width", kHeadSize},
              {"mlp_ratio", shapes.mlp_ratio(image, width)},
              {"patch_size", patch}}},
            {"text_cfg",
             {{"context_length", shapes.extent("positional_embedding", 2, 0)},
              {"vocab_size", shapes.extent("token_embedding.weight", 2, 0)},
              {"width", text_width},
              {"heads", shapes.heads(text_width)},
              {"mlp_ratio", shapes.mlp_ratio(text, text_width)},
              {"layers", shapes.blocks(text)}}}}}};
}

}  // namespace massact
