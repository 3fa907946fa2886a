// Images as `massact ablate` and `massact registers` take them.
#pragma once

#include <string>

#include "massact/cli/flags.h"
#include "massact/study/image_split.h"

namespace massact {

struct ImageSplitFlags {
  const ImageFlags& images;
  std::string calibration;  ///< images for means; empty: a fifth of --images
  std::string tokenizer;    ///< of the text tower; empty: beside the model
  RunOptions run;
};

/// Reads --images, what predicts their classes and what they are labelled as in that one's classes.
ImageSplit read_image_split(const Model& model, const ImageSplitFlags& flags, Progress& progress);

}  // namespace massact
