#include "massact/model/families/experts.h"

#include <functional>

#include "massact/base/error.h"
#include "massact/model/families/common.h"

namespace massact {
namespace {

constexpr std::int64_t kMostExperts = 4096;
constexpr std::int64_t kMostInAll = std::int64_t{1} << 16;  // of all blocks

std::string in_block(std::string name, const std::string& block) {
  if (const auto star = name.find('*'); star != std::string::npos) name.replace(star, 1, block);
  return name;
}

// Calls add(block) with "*", or with each number where blocks differ.
void for_blocks(const ModelConfig& model, bool with_experts,
                const std::function<void(const std::string&)>& add) {
  if (!model.moe.is_mixed()) {
    if (model.moe.in_block(0) == with_experts) add("*");
    return;
  }
  for (std::int64_t block = 0; block < model.layers; ++block) {
    if (model.moe.in_block(block) == with_experts) add(std::to_string(block));
  }
}

void add_gated_mlp(const std::string& canonical, const std::string& prefix, const MlpNames& names,
                   std::int64_t width, std::int64_t size, WeightTable& table) {
  table.add(canonical + "W_gate", prefix + names.gate + ".weight", {size, width});
  table.add(canonical + "W_in", prefix + names.in + ".weight", {size, width});
  table.add(canonical + "W_out", prefix + names.out + ".weight", {width, size});
}

}  // namespace

void read_experts(const JsonObject& config, std::string_view field, std::int64_t size,
                  ModelConfig& model) {
  MoeConfig& moe = model.moe;
  moe.experts = read_size(config, field, kMostExperts);
  require(moe.experts * model.layers <= kMostInAll, config.where(field),
          "expected at most {} experts in all {} layers, got {} in each", kMostInAll, model.layers,
          moe.experts);
  moe.per_token = read_size(config, "num_experts_per_tok", moe.experts);
  moe.size = size;
  moe.blocks.assign(static_cast<std::size_t>(model.layers), true);
}

std::string expert_name(std::int64_t expert) { return fmt::format("experts.*.{}.", expert); }

void add_router(const ModelConfig& model, const std::string& source, WeightTable& table) {
  for_blocks(model, true, [&](const std::string& block) {
    add_linear(in_block("blocks.*.mlp.W_router", block), in_block(source, block),
               {model.moe.experts, model.width}, model.moe.biases, table);
  });
}

void add_experts(const ModelConfig& model, const std::string& prefix, const MlpNames& names,
                 WeightTable& table) {
  for_blocks(model, true, [&](const std::string& block) {
    for (std::int64_t e = 0; e < model.moe.experts; ++e) {
      add_gated_mlp(in_block(expert_name(e), block),
                    fmt::format("{}{}.", in_block(prefix, block), e), names, model.width,
                    model.moe.size, table);
    }
  });
}

void add_shared_expert(const ModelConfig& model, const std::string& source, const MlpNames& names,
                       WeightTable& table) {
  if (model.moe.shared_size == 0) return;
  for_blocks(model, true, [&](const std::string& block) {
    const std::string canonical = in_block("blocks.*.mlp.shared.", block);
    add_gated_mlp(canonical, in_block(source, block) + ".", names, model.width,
                  model.moe.shared_size, table);
    table.add(canonical + "W_sigmoid", in_block(source, block) + "_gate.weight", {1, model.width});
  });
}

void add_dense_blocks(const ModelConfig& model, const std::string& prefix, const MlpNames& names,
                      WeightTable& table) {
  for_blocks(model, false, [&](const std::string& block) {
    add_gated_mlp(in_block("blocks.*.mlp.", block), in_block(prefix, block), names, model.width,
                  model.mlp_size, table);
  });
}

}  // namespace massact
