// Which images to read: folders, ImageFolder trees, CSV lists, single files; and an executor's
// source of their pixels.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "massact/base/threads.h"
#include "massact/image/pixel_source.h"
#include "massact/image/preprocess.h"

namespace massact {

struct ImageEntry {
  std::filesystem::path path;
  std::optional<std::int64_t> label;  ///< an index of the list's `classes`
};

struct ImageList {
  std::vector<ImageEntry> entries;
  std::vector<std::string> classes;  ///< names of labels; empty: no labels
  std::int64_t passed_over = 0;      ///< files in folders that are no images

  bool labelled() const { return !classes.empty(); }
};

/// Lists images, opening each file only as far as to see what it is.
///  - a folder: its images and those of its subfolders, sorted by path, names that begin with a dot
///    left out. Is none of them directly in it and have two or more of its folders some, then it is
///    an ImageFolder tree: each of those folders is a class, in sorted order. Files that are no
///    images (by content; names like x.jpg count as images) are passed over and counted.
///  - a .csv file: lines `path` or `path,label`, fields optionally in double quotes, relative to
///  the
///    list's folder; a first line `path,label` (or image, file, filename and label, class) is a
///    header. Classes are the labels' distinct texts: in numerical order if all are whole numbers,
///    else sorted.
///  - any other file is an image.
/// Labels come from one tree or list, or from none: throws Error if a labelled one is mixed with
/// others, if a path does not exist, or if no image is found.
ImageList list_images(std::span<const std::filesystem::path> paths);

struct SkippedImage {
  std::filesystem::path path;
  std::string reason;  ///< the error's text
};

struct ImageFilesOptions {
  /// Images that cannot be read are left out and listed, which takes decoding every image once more
  /// at the start. Without it the first such image is an error.
  bool skip_bad = false;
  /// At most so many images, from the start of the list, or spread over all of a labelled one; bad
  /// ones that were skipped do not count.
  std::int64_t max_images = std::numeric_limits<std::int64_t>::max();
};

/// The listed images, preprocessed. Thread-safe.
class ImageFiles : public PixelSource {
 public:
  /// Looks at the start of every file, so that what is no image shows before any computing.
  /// Throws Error if no image is left.
  ImageFiles(ImageList list, Preprocess preprocess, ImageFilesOptions options, Threads& threads);

  std::int64_t count() const override { return static_cast<std::int64_t>(list_.entries.size()); }
  std::int64_t channels() const override { return 3; }
  std::int64_t height() const override { return preprocess_.output().height; }
  std::int64_t width() const override { return preprocess_.output().width; }
  void read(std::int64_t index, std::span<float> pixels) const override;
  std::string name(std::int64_t index) const override { return entry(index).path.string(); }

  /// Some of the images, in this order; nothing skipped or passed over is told again.
  std::shared_ptr<const ImageFiles> subset(std::span<const std::int64_t> indices) const;

  const ImageEntry& entry(std::int64_t index) const {
    return list_.entries[static_cast<std::size_t>(index)];
  }
  /// What was listed, less what was skipped and what `max_images` cut off.
  const ImageList& list() const { return list_; }
  const Preprocess& preprocess() const { return preprocess_; }
  const std::vector<SkippedImage>& skipped() const { return skipped_; }

 private:
  // Indices of `wanted` images that can be read, tried in this order; the others are skipped.
  std::vector<std::int64_t> readable(std::span<const std::int64_t> order, std::int64_t wanted,
                                     Threads& threads);
  ImageFiles(ImageList list, Preprocess preprocess)
      : list_(std::move(list)), preprocess_(std::move(preprocess)) {}

  ImageList list_;
  Preprocess preprocess_;
  std::vector<SkippedImage> skipped_;
};

}  // namespace massact
