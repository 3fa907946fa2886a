// Images as `massact ablate` and `massact registers` take them.
#pragma once

#include <string>

#include "massact/cli/flags.h"
#include "massact/study/image_split.h"

namespace massact {

/// Reads --images and what they are labelled as in the model's own classes; --calibration, if not
/// empty, names the images for means, else they are a fifth of --images.
ImageSplit read_image_split(const Model& model, const ImageFlags& flags,
                            const std::string& calibration, int threads);

}  // namespace massact
