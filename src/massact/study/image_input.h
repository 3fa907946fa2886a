// How a model wants its images.
#pragma once

#include "massact/image/preprocess.h"
#include "massact/model/model.h"

namespace massact {

/// What the files beside the model say (image/preprocess.h); without any, for models that are one
/// file without a configuration, what their publishers do: OpenAI's CLIP, Meta's DINOv2. Throws
/// Error if neither says anything.
Preprocess preprocess_of(const Model& model);

}  // namespace massact
