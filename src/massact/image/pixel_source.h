// Where an executor gets images from: preprocessed pixels, one image at a time.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace massact {

/// Images of one size, ready for a vision model. Thread-safe: several threads read different images
/// at once, and an image may be read more than once (several passes, several commands).
class PixelSource {
 public:
  virtual ~PixelSource() = default;

  virtual std::int64_t count() const = 0;
  virtual std::int64_t channels() const = 0;
  virtual std::int64_t height() const = 0;  ///< pixels
  virtual std::int64_t width() const = 0;   ///< pixels

  /// Fills pixels [channels, height, width] with image `index`: resized, cropped, scaled and
  /// normalised as the model wants it. Throws Error that names the file if it cannot be read.
  virtual void read(std::int64_t index, std::span<float> pixels) const = 0;

  /// What messages call the image: its path.
  virtual std::string name(std::int64_t index) const = 0;
};

}  // namespace massact
