// The procedural images as files: a folder per class with PNG files in it, as ImageFolder readers
// take them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "train/procedural.h"

namespace massact::train {

struct ImageFolderOptions {
  std::filesystem::path out;
  std::int64_t count = 500;
  std::int64_t first = 0;
  std::int64_t size = 32;
  std::uint64_t seed = kHeldOutSeed;
};

/// Writes images first, first+1, … as OUT/LABEL/NUMBER.png. The defaults are the start of what
/// training holds out. Throws Error if OUT has files already, UsageError for impossible numbers.
/// `log` receives a line at the end.
void write_image_folder(const ImageFolderOptions& options,
                        const std::function<void(const std::string&)>& log);

}  // namespace massact::train
