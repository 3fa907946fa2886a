// What families with experts share. In all names `*` stands for the block and `@` for the file's
// prefix; where only some blocks have experts, the tables name those blocks one by one.
#pragma once

#include <string>
#include <string_view>

#include "massact/io/json.h"
#include "massact/model/config.h"
#include "massact/model/weight_table.h"

namespace massact {

/// Names of a gated MLP's projections.
struct MlpNames {
  std::string gate, in, out;
};

/// Experts in every block: their number from `field`, "num_experts_per_tok", and their `size`.
void read_experts(const JsonObject& config, std::string_view field, std::int64_t size,
                  ModelConfig& model);

/// "experts.*.7.": what the canonical names of expert 7's weights begin with.
std::string expert_name(std::int64_t expert);

/// The router `source`, with its bias if the model has biases there.
void add_router(const ModelConfig& model, const std::string& source, WeightTable& table);

/// Experts with tensors of their own, named `prefix` + number + "." + name.
void add_experts(const ModelConfig& model, const std::string& prefix, const MlpNames& names,
                 WeightTable& table);

/// The expert that all tokens see, and its gate `source` + "_gate"; nothing if there is none.
void add_shared_expert(const ModelConfig& model, const std::string& source, const MlpNames& names,
                       WeightTable& table);

/// The one MLP of blocks without experts.
void add_dense_blocks(const ModelConfig& model, const std::string& prefix, const MlpNames& names,
                      WeightTable& table);

}  // namespace massact
