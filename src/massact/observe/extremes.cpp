#include "massact/observe/extremes.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

namespace massact::observe {
namespace {

// The largest |x| as bits: integers of 31 bits order like magnitudes, and such a maximum
// vectorises.
std::int32_t largest_bits(const float* x, std::int64_t count) {
  std::int32_t largest = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    largest = std::max(largest, std::bit_cast<std::int32_t>(x[i]) & 0x7fffffff);
  }
  return largest;
}

}  // namespace

void Extremes::observe(const SiteView& view, Threads& threads) {
  std::vector<std::int32_t> largest(static_cast<std::size_t>(view.values.rows));
  threads.parallel_for(view.values.rows, [&](std::int64_t r, int) {
    largest[static_cast<std::size_t>(r)] = largest_bits(view.values.row(r), view.values.cols);
  });
  const auto row = std::max_element(largest.begin(), largest.end());
  Extreme& extreme = by_site_[view.site];
  if (*row <= std::bit_cast<std::int32_t>(std::abs(extreme.value))) return;
  const std::int64_t position = row - largest.begin();
  const float* values = view.values.row(position);
  const float* value = std::find_if(values, values + view.values.cols, [&](float x) {
    return (std::bit_cast<std::int32_t>(x) & 0x7fffffff) == *row;
  });
  extreme = {*value, view.sequence, view.first_position + position, value - values};
}

}  // namespace massact::observe
