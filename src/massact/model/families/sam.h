// SAM's image encoder, which HF, Meta and timm store.
#pragma once

#include "massact/model/families/common.h"

namespace massact {

/// Options of the encoder from the fields of HF's "vision_config"; its name is their "model_type".
ModelConfig read_sam_encoder(const JsonObject& config);

/// The same from timm's configuration of a "samvit_…": its architecture's name and "model_args".
ModelConfig read_samvit(const JsonObject& config);

/// The weight table for the names that the family ("timm") or name ("sam_image_encoder", Meta's)
/// goes with.
WeightTable sam_weights(const ModelConfig& model);

}  // namespace massact
