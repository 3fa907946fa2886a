#include <algorithm>
#include <iterator>

#include "massact/base/error.h"
#include "massact/base/suggest.h"
#include "massact/model/examples.h"
#include "massact/model/family.h"

namespace massact {

const std::vector<Family>& families() {
  static const std::vector<Family> all = {
      bloom_family(),   clip_family(),   cohere_family(),   dinov2_family(),     dinov3_family(),
      falcon_family(),  gemma_family(),  gpt2_family(),     gptj_family(),       gpt_neox_family(),
      gpt_oss_family(), llama_family(),  mixtral_family(),  mpt_family(),        nanogpt_family(),
      olmo_family(),    opt_family(),    phi_family(),      phi3_family(),       qwen_moe_family(),
      sam_family(),     siglip_family(), stablelm_family(), starcoder2_family(), timm_family(),
      vit_family()};
  return all;
}

namespace {

const Family* family_of(std::string_view model_type) {
  for (const auto& family : families()) {
    const auto& types = family.model_types;
    if (std::find(types.begin(), types.end(), model_type) != types.end()) return &family;
  }
  return nullptr;
}

std::string known_types() {
  std::vector<std::string> known;
  for (const auto& family : families()) {
    known.insert(known.end(), family.model_types.begin(), family.model_types.end());
  }
  return join(known);
}

// Fields of two configurations: in both / in either.
struct Overlap {
  std::size_t both = 0, either = 0;

  Overlap(const JsonObject& a, const JsonObject& b) {
    const auto keys = a.keys(), others = b.keys();  // sorted
    std::vector<std::string> common;
    std::set_intersection(keys.begin(), keys.end(), others.begin(), others.end(),
                          std::back_inserter(common));
    both = common.size();
    either = keys.size() + others.size() - both;
  }
  bool operator<(const Overlap& other) const { return both * other.either < other.both * either; }
};

}  // namespace

const Family& find_family(std::string_view model_type, std::string_view where) {
  const Family* family = family_of(model_type);
  require(family != nullptr, where, "unsupported model_type '{}' (supported: {})", model_type,
          known_types());
  return *family;
}

const Family& find_family(const JsonObject& config) {
  // timm's configurations say the architecture's name instead.
  const bool timm = !config.has("model_type") && config.has("architecture");
  const auto type = timm ? "timm" : config.get<std::string>("model_type");
  if (const Family* family = family_of(type)) return *family;
  const auto& examples = example_configs();
  const auto nearest = std::max_element(
      examples.begin(), examples.end(), [&](const ExampleConfig& a, const ExampleConfig& b) {
        return Overlap(config, a.config) < Overlap(config, b.config);
      });
  fail(config.where("model_type"),
       "unsupported model_type '{}' (supported: {}; by its fields the nearest is {}, a {}, with {} "
       "of {} fields: if it is the same architecture, set model_type to that)",
       type, known_types(), nearest->model, nearest->config.get<std::string>("model_type"),
       Overlap(config, nearest->config).both, nearest->config.keys().size());
}

}  // namespace massact
