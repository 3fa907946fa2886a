// What a model family is: a config reader and a weight table. Nothing else.
#pragma once

#include <string_view>
#include <vector>

#include "massact/io/json.h"
#include "massact/model/config.h"
#include "massact/model/weight_table.h"

namespace massact {

struct Family {
  std::string_view name;
  /// HF's "model_type" values it reads.
  std::vector<std::string_view> model_types;
  /// HF's config.json → options of the generic block.
  ModelConfig (*read_config)(const JsonObject& config);
  WeightTable (*weights)(const ModelConfig& config);
};

/// All families, in alphabetical order.
const std::vector<Family>& families();

/// The family that reads this "model_type". Throws Error that lists what is supported.
const Family& find_family(std::string_view model_type, std::string_view where);

/// The family that reads this config.json. Throws Error that lists what is supported and names the
/// published model whose configuration has most of the same fields.
const Family& find_family(const JsonObject& config);

// One function per file in families/.
Family bloom_family();
Family clip_family();
Family cohere_family();
Family dinov2_family();
Family dinov3_family();
Family falcon_family();
Family gemma_family();
Family gpt2_family();
Family gptj_family();
Family gpt_neox_family();
Family gpt_oss_family();
Family llama_family();
Family mixtral_family();
Family mpt_family();
Family nanogpt_family();
Family olmo_family();
Family opt_family();
Family phi_family();
Family phi3_family();
Family qwen_moe_family();
Family sam_family();
Family siglip_family();
Family stablelm_family();
Family starcoder2_family();
Family timm_family();
Family vit_family();

}  // namespace massact
