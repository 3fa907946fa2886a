#include "massact/image/preprocess.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "massact/base/error.h"

namespace massact {
namespace {

std::int64_t scaled_down(std::int64_t side, std::int64_t to, std::int64_t of) {
  return std::max<std::int64_t>(
      1, static_cast<std::int64_t>(static_cast<double>(to * side) / static_cast<double>(of)));
}

// timm: the ratio of the side that matters, then Python's rounding (half to even).
PixelSize keep_ratio(PixelSize from, PixelSize to, bool fit) {
  const double by_height = static_cast<double>(from.height) / static_cast<double>(to.height);
  const double by_width = static_cast<double>(from.width) / static_cast<double>(to.width);
  const double ratio = fit ? std::max(by_height, by_width) : std::min(by_height, by_width);
  const auto side = [&](std::int64_t length) {
    const double exact = std::nearbyint(static_cast<double>(length) / ratio);
    return std::max<std::int64_t>(1, static_cast<std::int64_t>(exact));
  };
  return {side(from.height), side(from.width)};
}

// SAM: the scale first, then both sides, rounded half up.
PixelSize to_longest_edge(PixelSize from, std::int64_t edge) {
  const double scale =
      static_cast<double>(edge) / static_cast<double>(std::max(from.height, from.width));
  const auto side = [&](std::int64_t length) {
    const auto exact = static_cast<std::int64_t>(static_cast<double>(length) * scale + 0.5);
    return std::max<std::int64_t>(1, exact);
  };
  return {side(from.height), side(from.width)};
}

PixelSize resized(PixelSize from, const Preprocess& p) {
  const std::int64_t edge = p.resize_to.height;
  switch (p.resize) {
    case Preprocess::Resize::none:
      return from;
    case Preprocess::Resize::exact:
      return p.resize_to;
    case Preprocess::Resize::shortest_edge:
      if (from.width <= from.height) return {scaled_down(from.height, edge, from.width), edge};
      return {edge, scaled_down(from.width, edge, from.height)};
    case Preprocess::Resize::cover:
    case Preprocess::Resize::fit:
      return keep_ratio(from, p.resize_to, p.resize == Preprocess::Resize::fit);
    case Preprocess::Resize::longest_edge:
      return to_longest_edge(from, edge);
  }
  fail("preprocess", "unknown resize mode");  // programmer error
}

// The input position of output position 0; negative: a border.
std::int64_t crop_offset(std::int64_t from, std::int64_t to, Preprocess::Center center) {
  const std::int64_t spare = from - to;
  if (center == Preprocess::Center::half_even && spare >= 0) {
    return static_cast<std::int64_t>(std::nearbyint(static_cast<double>(spare) / 2));
  }
  // torchvision's border is the smaller one on the left; HF's floor of a negative half likewise
  // rounds away from zero, so that its left border is the larger one.
  if (center == Preprocess::Center::half_even) return -((-spare) / 2);
  return spare >= 0 ? spare / 2 : -((-spare + 1) / 2);
}

Image cropped(const Image& image, const Preprocess& p) {
  Image result(p.crop.width, p.crop.height);
  const std::int64_t top = crop_offset(image.height, p.crop.height, p.center);
  const std::int64_t left = crop_offset(image.width, p.crop.width, p.center);
  for (std::int64_t y = 0; y < result.height; ++y) {
    const std::int64_t from_y = y + top;
    for (std::int64_t x = 0; x < result.width; ++x) {
      const std::int64_t from_x = x + left;
      const bool inside =
          from_y >= 0 && from_y < image.height && from_x >= 0 && from_x < image.width;
      const std::uint8_t* from = inside ? image.row(from_y) + from_x * 3 : p.fill.data();
      std::memcpy(result.row(y) + x * 3, from, 3);
    }
  }
  return result;
}

// What each of the 256 values of a channel becomes, in HF's order of roundings.
std::array<float, 256> value_table(const Preprocess& p, std::size_t channel) {
  std::array<float, 256> table;
  const auto mean = static_cast<float>(p.mean[channel]);
  const auto std = static_cast<float>(p.std[channel]);
  for (std::size_t value = 0; value < table.size(); ++value) {
    table[value] = (static_cast<float>(static_cast<double>(value) * p.rescale) - mean) / std;
  }
  return table;
}

}  // namespace

PixelSize Preprocess::output() const {
  if (pad != PixelSize{}) return pad;
  return crop != PixelSize{} ? crop : resize_to;
}

void preprocess_image(const Image& image, const Preprocess& preprocess, std::span<float> pixels) {
  const PixelSize out = preprocess.output();
  require(static_cast<std::int64_t>(pixels.size()) == 3 * out.height * out.width, "preprocess",
          "expected room for 3 x {} x {} pixels, got {}", out.height, out.width, pixels.size());
  const PixelSize size = resized({image.height, image.width}, preprocess);
  Image ready = resize(image, size.width, size.height, preprocess.filter);
  if (preprocess.crop != PixelSize{} && preprocess.crop != PixelSize{ready.height, ready.width}) {
    ready = cropped(ready, preprocess);
  }
  require(ready.height <= out.height && ready.width <= out.width, "preprocess",
          "expected at most {} x {} pixels before padding, got {} x {}", out.width, out.height,
          ready.width, ready.height);
  if (preprocess.pad != PixelSize{}) std::fill(pixels.begin(), pixels.end(), 0.0f);
  for (std::size_t channel = 0; channel < 3; ++channel) {
    const std::array<float, 256> table = value_table(preprocess, channel);
    float* plane = pixels.data() + static_cast<std::int64_t>(channel) * out.height * out.width;
    for (std::int64_t y = 0; y < ready.height; ++y) {
      const std::uint8_t* in = ready.row(y) + channel;
      float* row = plane + y * out.width;
      for (std::int64_t x = 0; x < ready.width; ++x) row[x] = table[in[3 * x]];
    }
  }
}

}  // namespace massact
