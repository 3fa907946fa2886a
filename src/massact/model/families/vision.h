// What several families of vision transformers share: readers of the usual config fields and the
// usual lines of weight tables.
#pragma once

#include <string>

#include "massact/model/families/common.h"

namespace massact {

/// `config` with the fields of `defaults` that it leaves out: HF's configuration classes have a
/// default for every size, and published files rely on it.
JsonObject with_defaults(const JsonObject& config, const nlohmann::json& defaults);

/// HF's defaults of most vision transformers: ViT-B/16 on 224 pixels.
nlohmann::json vit_defaults();

/// A bidirectional encoder with family, name ("model_type"), sizes, LayerNorms, biases everywhere,
/// image and patch sizes and learned positions. `mlp` is the field with the MLP's size; empty: the
/// caller sets it.
ModelConfig read_vision_sizes(const JsonObject& config, std::string_view family,
                              std::string_view mlp = "intermediate_size");

/// Sets image, patch sizes and channels from "image_size", "patch_size" (a number or [height,
/// width]) and "num_channels". Throws Error for sizes without a single patch.
void read_image_sizes(const JsonObject& config, ModelConfig& model);

/// The classes of "id2label" (or "num_labels") if "architectures" says that the checkpoint
/// classifies images, else no head.
void read_classifier(const JsonObject& config, Pooling pooling, ModelConfig& model);

/// Sets max_positions: the tokens of an image of the usual size.
void count_image_tokens(ModelConfig& model);

/// The patch projection `source` ("….weight" and, if the model has it, "….bias").
void add_patches(const ModelConfig& model, const std::string& source, WeightTable& table);

/// The learned positions: a tensor [1, rows, d] or, with `flat`, [rows, d].
void add_positions(const ModelConfig& model, const std::string& source, WeightTable& table,
                   bool flat = false);

/// HF's usual attention of vision models: "query", "key", "value" under `prefix` + "attention." and
/// "output.dense".
void add_vit_attention(const ModelConfig& model, const std::string& prefix, WeightTable& table);

/// The classifier `source`, if the model has one.
void add_classifier(const ModelConfig& model, const std::string& source, WeightTable& table);

}  // namespace massact
