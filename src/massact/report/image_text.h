// What images a run read, for terminals.
#pragma once

#include <string>

#include "massact/report/text_style.h"
#include "massact/study/image_facts.h"

namespace massact {

/// What of the folders was not read, and why: a line per broken image, one for all other files;
/// empty if everything was read.
std::string left_out_text(const ImageFacts& images, const TextStyle& style);

/// What predicted the images' classes, in a line; empty for the checkpoint's own classifier.
std::string classifier_text(const ImageFacts& images, const TextStyle& style);

}  // namespace massact
