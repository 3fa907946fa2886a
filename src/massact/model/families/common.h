// What several families' files share.
#pragma once

#include "massact/io/json.h"
#include "massact/model/config.h"
#include "massact/model/weight_table.h"

namespace massact {

/// Reads HF's "hidden_act"/"activation_function" names.
ops::Activation read_activation(const JsonObject& config, std::string_view field,
                                std::string_view otherwise);

/// A positive integer field no larger than `most`.
std::int64_t read_size(const JsonObject& config, std::string_view name,
                       std::int64_t most = std::int64_t{1} << 31);

/// Checks that heads and sizes fit together; names the config's field at fault.
void check_sizes(const ModelConfig& model, const JsonObject& config);

/// Reads "massact": {"attention": …} of a config written by massact-train; standard if absent.
void read_attention_variant(const JsonObject& config, ModelConfig& model);

/// Adds the output head, which is the embedding if the config ties them.
void add_unembedding(const ModelConfig& model, WeightTable& table);

/// Adds the variant's own tensors, whose names begin with `attention` ("@h.*.attn.").
void add_variant_weights(const ModelConfig& model, std::string_view attention, WeightTable& table);

}  // namespace massact
