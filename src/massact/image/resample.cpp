#include "massact/image/resample.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "massact/base/error.h"

namespace massact {
namespace {

// Products of 8-bit pixels, sums of some overshoot and a sign must fit in 32 bits.
constexpr int kWeightBits = 32 - 8 - 2;

double box(double x) { return x > -0.5 && x <= 0.5 ? 1 : 0; }

double triangle(double x) { return std::max(0.0, 1 - std::abs(x)); }

double hamming(double x) {
  x = std::abs(x);
  if (x == 0) return 1;
  if (x >= 1) return 0;
  x *= std::numbers::pi;
  return std::sin(x) / x * (0.54 + 0.46 * std::cos(x));
}

// Keys' cubic with a = −1/2.
double cubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

double sinc(double x) {
  if (x == 0) return 1;
  x *= std::numbers::pi;
  return std::sin(x) / x;
}

double lanczos3(double x) { return -3 <= x && x < 3 ? sinc(x) * sinc(x / 3) : 0; }

struct FilterFunction {
  Filter filter;
  std::string_view name;
  std::int64_t number;  // PIL's
  double (*value)(double);
  double support;  // zero outside of [-support, support]
};

constexpr std::array<FilterFunction, 5> kFilters = {{
    {Filter::lanczos, "lanczos", 1, lanczos3, 3},
    {Filter::bilinear, "bilinear", 2, triangle, 1},
    {Filter::bicubic, "bicubic", 3, cubic, 2},
    {Filter::box, "box", 4, box, 0.5},
    {Filter::hamming, "hamming", 5, hamming, 1},
}};

const FilterFunction& function_of(Filter filter) {
  return *std::find_if(kFilters.begin(), kFilters.end(),
                       [&](const FilterFunction& f) { return f.filter == filter; });
}

// For each output position the input positions it is made of, and their weights.
struct Weights {
  struct Range {
    std::int64_t first;
    std::int64_t count;
  };
  std::vector<Range> ranges;
  std::vector<std::int32_t> values;  // `stride` per output position, fixed point
  std::int64_t stride;

  const std::int32_t* of(std::int64_t position) const { return &values[position * stride]; }
};

Weights make_weights(std::int64_t in, std::int64_t out, const FilterFunction& filter) {
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  const double stretch = std::max(scale, 1.0);
  const double support = filter.support * stretch;
  Weights weights;
  weights.stride = static_cast<std::int64_t>(std::ceil(support)) * 2 + 1;
  weights.ranges.resize(static_cast<std::size_t>(out));
  weights.values.resize(static_cast<std::size_t>(out * weights.stride));
  std::vector<double> exact(static_cast<std::size_t>(weights.stride));
  for (std::int64_t i = 0; i < out; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale;
    const auto first = std::max<std::int64_t>(0, static_cast<std::int64_t>(center - support + 0.5));
    const auto end = std::min(in, static_cast<std::int64_t>(center + support + 0.5));
    double sum = 0;
    for (std::int64_t k = 0; k < end - first; ++k) {
      const double at = static_cast<double>(k + first) - center + 0.5;
      exact[k] = filter.value(at * (1 / stretch));
      sum += exact[k];
    }
    weights.ranges[i] = {first, end - first};
    for (std::int64_t k = 0; k < end - first; ++k) {
      const double normalised = sum == 0 ? exact[k] : exact[k] / sum;
      const double fixed = normalised * (1 << kWeightBits);
      weights.values[i * weights.stride + k] =
          static_cast<std::int32_t>(fixed < 0 ? fixed - 0.5 : fixed + 0.5);
    }
  }
  return weights;
}

constexpr std::int32_t kHalf = 1 << (kWeightBits - 1);

std::uint8_t rounded(std::int32_t sum) {
  return static_cast<std::uint8_t>(std::clamp(sum >> kWeightBits, 0, 255));
}

Image resize_rows(const Image& image, std::int64_t width, const FilterFunction& filter) {
  const Weights weights = make_weights(image.width, width, filter);
  Image result(width, image.height);
  for (std::int64_t y = 0; y < image.height; ++y) {
    std::uint8_t* out = result.row(y);
    for (std::int64_t x = 0; x < width; ++x, out += 3) {
      const auto [first, count] = weights.ranges[x];
      const std::int32_t* weight = weights.of(x);
      const std::uint8_t* in = image.row(y) + first * 3;
      std::int32_t sums[3] = {kHalf, kHalf, kHalf};
      for (std::int64_t k = 0; k < count; ++k, in += 3) {
        for (int c = 0; c < 3; ++c) sums[c] += in[c] * weight[k];
      }
      for (int c = 0; c < 3; ++c) out[c] = rounded(sums[c]);
    }
  }
  return result;
}

Image resize_columns(const Image& image, std::int64_t height, const FilterFunction& filter) {
  const Weights weights = make_weights(image.height, height, filter);
  Image result(image.width, height);
  const auto row_bytes = static_cast<std::size_t>(image.width * 3);
  std::vector<std::int32_t> sums(row_bytes);
  for (std::int64_t y = 0; y < height; ++y) {
    const auto [first, count] = weights.ranges[y];
    std::fill(sums.begin(), sums.end(), kHalf);
    // Whole rows at a time: the inner loop is one multiplication by a constant.
    for (std::int64_t k = 0; k < count; ++k) {
      const std::uint8_t* in = image.row(first + k);
      const std::int32_t weight = weights.of(y)[k];
      for (std::size_t i = 0; i < row_bytes; ++i) sums[i] += in[i] * weight;
    }
    std::uint8_t* out = result.row(y);
    for (std::size_t i = 0; i < row_bytes; ++i) out[i] = rounded(sums[i]);
  }
  return result;
}

}  // namespace

Filter filter_of_number(std::int64_t number, std::string_view where) {
  for (const FilterFunction& f : kFilters) {
    if (f.number == number) return f.filter;
  }
  fail(where, "expected PIL's number of a filter, 1 (lanczos) to 5 (hamming), got {}", number);
}

Filter filter_of_name(std::string_view name, std::string_view where) {
  for (const FilterFunction& f : kFilters) {
    if (f.name == name) return f.filter;
  }
  fail(where, "expected bilinear, bicubic, lanczos, box or hamming, got \"{}\"", name);
}

Image resize(const Image& image, std::int64_t width, std::int64_t height, Filter filter) {
  require(width > 0 && height > 0, "resize", "expected a positive size, got {} x {}", width,
          height);
  // The rows are done first, so that this is how large it gets on the way.
  require(std::max(height, image.height) <= kMaxImagePixels / width, "resize",
          "expected a picture whose sides are not too different, got {} x {} pixels to become {} x "
          "{}",
          image.width, image.height, width, height);
  const FilterFunction& function = function_of(filter);
  if (width == image.width) {
    return height == image.height ? image : resize_columns(image, height, function);
  }
  const Image narrowed = resize_rows(image, width, function);
  return height == image.height ? narrowed : resize_columns(narrowed, height, function);
}

}  // namespace massact
