// A labelled image task that needs no files: shapes, how many of them, and textures. An image is a
// function of (seed, number) alone, so a data set is a pair of numbers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace massact::train {

/// Images of numbers below this are held out; training takes those from here on.
inline constexpr std::int64_t kHeldOutImages = 1'000'000;

/// The seed of the held-out images: the same for every run.
inline constexpr std::uint64_t kHeldOutSeed = 0;

inline constexpr std::int64_t kMinImageSize = 16;
inline constexpr std::int64_t kMaxImageSize = 512;

struct ProceduralImage {
  std::int64_t label = 0;            // an index into `procedural_labels()`
  std::vector<std::uint8_t> pixels;  // size x size x RGB, row by row
};

/// The classes' names, sorted: one to three of a shape ("circle-1" … "triangle-3"), or a texture
/// alone ("checks", "noise", "spots", "stripes"). A shape's image has a faint texture behind it, so
/// that neither colour nor background tells its class.
const std::vector<std::string>& procedural_labels();

/// Draws image `number`. Throws UsageError for a size out of [kMinImageSize, kMaxImageSize].
ProceduralImage draw_image(std::uint64_t seed, std::int64_t number, std::int64_t size);

}  // namespace massact::train
