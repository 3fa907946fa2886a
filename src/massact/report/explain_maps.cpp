#include "massact/report/explain_maps.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "massact/image/encode.h"
#include "massact/report/explain_report.h"

namespace massact {
namespace {

constexpr std::int64_t kMostPixels = 1024;  // of a side

// A C-ordered float32 array, .npy version 1.
std::string npy(std::int64_t rows, std::int64_t cols, const std::vector<float>& values) {
  std::string header =
      fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", rows, cols);
  while ((10 + header.size() + 1) % 64 != 0) header += ' ';
  header += '\n';
  std::string out = "\x93NUMPY";
  out += '\x01';
  out += '\0';
  out += static_cast<char>(header.size() & 0xFF);
  out += static_cast<char>(header.size() >> 8);
  out += header;
  static_assert(std::endian::native == std::endian::little);
  const std::size_t at = out.size();
  out.resize(at + values.size() * sizeof(float));
  std::memcpy(out.data() + at, values.data(), values.size() * sizeof(float));
  return out;
}

using Colour = std::array<std::uint8_t, 3>;

constexpr Colour kHiddenColour = {230, 230, 230};  // what the mask hides

// White to dark blue for 0 to 1.
Colour colour_of(double value) {
  static constexpr std::array<std::array<double, 3>, 5> kStops = {
      {{255, 255, 255}, {190, 215, 235}, {95, 160, 205}, {25, 90, 160}, {5, 25, 75}}};
  const double at = value * (kStops.size() - 1);
  const auto stop = std::min(static_cast<std::size_t>(at), kStops.size() - 2);
  const double mix = at - static_cast<double>(stop);
  Colour colour;
  for (std::size_t c = 0; c < 3; ++c) {
    colour[c] = static_cast<std::uint8_t>(
        std::lround((1 - mix) * kStops[stop][c] + mix * kStops[stop + 1][c]));
  }
  return colour;
}

// From the smallest to the largest finite value. Large maps are shrunk, each pixel showing the
// largest of its values.
std::string png(const AttentionMap& map, const std::vector<float>& values) {
  const std::int64_t step = (std::max(map.queries, map.columns) + kMostPixels - 1) / kMostPixels;
  Image image((map.columns + step - 1) / step, (map.queries + step - 1) / step);
  constexpr float kHidden = -std::numeric_limits<float>::infinity();
  std::vector<float> pixels(static_cast<std::size_t>(image.width * image.height), kHidden);
  float low = std::numeric_limits<float>::infinity(), high = kHidden;
  for (std::int64_t r = 0; r < map.queries; ++r) {
    for (std::int64_t c = 0; c < map.columns; ++c) {
      const float value = values[static_cast<std::size_t>(r * map.columns + c)];
      float& pixel = pixels[static_cast<std::size_t>(r / step * image.width + c / step)];
      pixel = std::max(pixel, value);
      if (!std::isfinite(value)) continue;
      low = std::min(low, value);
      high = std::max(high, value);
    }
  }
  const float range = high > low ? high - low : 1.0f;
  for (std::size_t p = 0; p < pixels.size(); ++p) {
    const Colour colour = std::isfinite(pixels[p])
                              ? colour_of(static_cast<double>((pixels[p] - low) / range))
                              : kHiddenColour;
    std::copy(colour.begin(), colour.end(), image.rgb.begin() + static_cast<std::ptrdiff_t>(3 * p));
  }
  return encode_png(image);
}

}  // namespace

std::string map_file(const AttentionMap& map, std::string_view what) {
  const std::string head = map.head ? fmt::format("head{}", *map.head) : "mean";
  return fmt::format("map-layer{}-{}-{}", map.layer, head, what);
}

std::vector<ResultFile> explain_map_files(const ExplainResult& result) {
  std::vector<ResultFile> files;
  for (const AttentionMap& map : result.maps) {
    files.push_back({map_file(map, "logits.npy"), npy(map.queries, map.columns, map.logits)});
    files.push_back(
        {map_file(map, "probabilities.npy"), npy(map.queries, map.columns, map.probabilities)});
    files.push_back({map_file(map, "logits.png"), png(map, map.logits)});
    files.push_back({map_file(map, "probabilities.png"), png(map, map.probabilities)});
  }
  return files;
}

}  // namespace massact
