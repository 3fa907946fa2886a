// timm's "samvit_…": SAM's image encoder, whose sizes stand in the architecture's name.
#include <algorithm>
#include <iterator>

#include "massact/base/error.h"
#include "massact/model/families/sam.h"

namespace massact {
namespace {

struct Size {
  std::string_view name;
  std::int64_t width, layers, heads;
  std::vector<std::int64_t> everywhere;
};

// timm's arguments by HF's names of the same things.
constexpr std::pair<const char*, const char*> kArguments[] = {
    {"embed_dim", "hidden_size"},         {"depth", "num_hidden_layers"},
    {"num_heads", "num_attention_heads"}, {"patch_size", "patch_size"},
    {"img_size", "image_size"},           {"window_size", "window_size"},
    {"mlp_ratio", "mlp_ratio"},           {"qkv_bias", "qkv_bias"},
    {"use_abs_pos", "use_abs_pos"},       {"use_rel_pos", "use_rel_pos"},
    {"neck_chans", "output_channels"},    {"global_attn_indexes", "global_attn_indexes"}};

nlohmann::json sizes_of(std::string_view name, const std::string& where) {
  const Size sizes[] = {{"samvit_base_patch16", 768, 12, 12, {2, 5, 8, 11}},
                        {"samvit_large_patch16", 1024, 24, 16, {5, 11, 17, 23}},
                        {"samvit_huge_patch16", 1280, 32, 16, {7, 15, 23, 31}}};
  for (const Size& size : sizes) {
    if (name.substr(0, name.find('.')) != size.name) continue;
    return {{"model_type", name},
            {"hidden_size", size.width},
            {"num_hidden_layers", size.layers},
            {"num_attention_heads", size.heads},
            {"layer_norm_eps", 1e-5},  // Meta's is 1e-6
            {"global_attn_indexes", size.everywhere}};
  }
  fail(where, "expected samvit_base_patch16, samvit_large_patch16 or samvit_huge_patch16, got '{}'",
       name);
}

}  // namespace

ModelConfig read_samvit(const JsonObject& config) {
  const auto name = config.get<std::string>("architecture");
  nlohmann::json fields = sizes_of(name, config.where("architecture"));
  if (config.has("model_args")) {
    const JsonObject arguments = config.object("model_args");
    for (const std::string& key : arguments.keys()) {
      if (!arguments.has(key) || key == "num_classes" || key == "global_pool") continue;
      const auto* known = std::find_if(std::begin(kArguments), std::end(kArguments),
                                       [&](const auto& pair) { return key == pair.first; });
      require(known != std::end(kArguments), arguments.where(key),
              "expected an argument of timm's that changes sizes, windows or positions");
      fields[known->second] = *arguments.find(key);
    }
  }
  require(config.get_or<std::int64_t>("num_classes", 0) == 0, config.where("num_classes"),
          "expected SAM's encoder without a classifier, got {} classes",
          config.get_or<std::int64_t>("num_classes", 0));
  ModelConfig model = read_sam_encoder({std::move(fields), config.where("architecture")});
  model.family = "timm";
  return model;
}

}  // namespace massact
