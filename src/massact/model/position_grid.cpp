#include "massact/model/position_grid.h"

#include <algorithm>
#include <cmath>

#include "massact/base/error.h"

namespace massact {
namespace {

// Keys' cubic convolution kernel.
double cubic(double x, double a) {
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  return 0;
}

// A result of one dimension: a weighted sum of the inputs from `first` on.
struct Tap {
  std::int64_t input;
  double weight;
};

// The four neighbours; beyond the border stands the border.
std::vector<Tap> plain_taps(std::int64_t out, std::int64_t from, std::int64_t to) {
  const double scale = static_cast<double>(from) / static_cast<double>(to);
  const double place = scale * (static_cast<double>(out) + 0.5) - 0.5;
  const double floor = std::floor(place);
  std::vector<Tap> taps;
  for (std::int64_t k = -1; k <= 2; ++k) {
    const std::int64_t input =
        std::clamp<std::int64_t>(static_cast<std::int64_t>(floor) + k, 0, from - 1);
    taps.push_back({input, cubic(place - floor - static_cast<double>(k), -0.75)});
  }
  return taps;
}

// All inputs under the kernel, stretched where the grid shrinks; what lies outside does not count.
std::vector<Tap> antialias_taps(std::int64_t out, std::int64_t from, std::int64_t to) {
  const double scale = static_cast<double>(from) / static_cast<double>(to);
  const double stretch = std::max(scale, 1.0), support = 2.0 * stretch;
  const double centre = scale * (static_cast<double>(out) + 0.5);
  const auto first = std::max<std::int64_t>(static_cast<std::int64_t>(centre - support + 0.5), 0);
  const auto last = std::min<std::int64_t>(static_cast<std::int64_t>(centre + support + 0.5), from);
  std::vector<Tap> taps;
  double sum = 0;
  for (std::int64_t input = first; input < last; ++input) {
    const double weight = cubic((static_cast<double>(input) + 0.5 - centre) / stretch, -0.5);
    taps.push_back({input, weight});
    sum += weight;
  }
  for (Tap& tap : taps) tap.weight /= sum;
  return taps;
}

std::vector<std::vector<Tap>> all_taps(std::int64_t from, std::int64_t to, PositionResize how) {
  std::vector<std::vector<Tap>> taps;
  for (std::int64_t out = 0; out < to; ++out) {
    taps.push_back(how == PositionResize::bicubic ? plain_taps(out, from, to)
                                                  : antialias_taps(out, from, to));
  }
  return taps;
}

}  // namespace

std::vector<float> resize_positions(std::span<const float> table, PatchGrid from, PatchGrid to,
                                    std::int64_t width, PositionResize how) {
  require(std::ssize(table) == from.count() * width, "positions",
          "expected {} values for {} x {} patches, got {}", from.count() * width, from.rows,
          from.columns, table.size());
  const auto down = all_taps(from.rows, to.rows, how);
  const auto across = all_taps(from.columns, to.columns, how);
  std::vector<float> result(static_cast<std::size_t>(to.count() * width));
  std::vector<double> sum(static_cast<std::size_t>(width));
  for (std::int64_t row = 0; row < to.rows; ++row) {
    for (std::int64_t column = 0; column < to.columns; ++column) {
      std::fill(sum.begin(), sum.end(), 0.0);
      for (const Tap& y : down[static_cast<std::size_t>(row)]) {
        for (const Tap& x : across[static_cast<std::size_t>(column)]) {
          const float* position = table.data() + (y.input * from.columns + x.input) * width;
          const double weight = y.weight * x.weight;
          for (std::int64_t c = 0; c < width; ++c) {
            sum[static_cast<std::size_t>(c)] += weight * static_cast<double>(position[c]);
          }
        }
      }
      std::transform(sum.begin(), sum.end(), result.begin() + (row * to.columns + column) * width,
                     [](double value) { return static_cast<float>(value); });
    }
  }
  return result;
}

}  // namespace massact
