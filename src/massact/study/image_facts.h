// What images a run read, for reports.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "massact/image/image_set.h"
#include "massact/model/config.h"

namespace massact {

struct ImageFacts {
  std::vector<std::string> files;  ///< by sequence
  std::int64_t height = 0;         ///< pixels, after preprocessing
  std::int64_t width = 0;
  PatchGrid grid;
  std::int64_t class_tokens = 0;
  std::int64_t registers = 0;
  std::string preprocessing;          ///< the file it was read from
  std::int64_t passed_over = 0;       ///< files in the folders that are no images
  std::vector<SkippedImage> skipped;  ///< broken ones, under --skip-bad
  std::vector<std::string> classes;   ///< of labelled images
  std::string classifier;             ///< what predicted classes, if not the checkpoint's own
};

ImageFacts image_facts(const ModelConfig& config, const ImageFiles& images);

/// "a/cat.png and 11 more": what `files` are, in a line.
std::string describe(const ImageFacts& facts);

}  // namespace massact
