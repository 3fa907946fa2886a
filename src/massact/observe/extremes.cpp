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
  const std::pair<int, std::int64_t> place(view.site.block, view.sequence);
  if (view.site.kind == SiteKind::ln2_post_scale) {
    std::vector<float>& own = divisors_[place];
    for (std::int64_t r = 0; r < view.values.rows; ++r) own.push_back(view.values(r, 0));
    return;
  }
  std::vector<float> divisors;
  if (view.site.kind == SiteKind::ln2_post_normalized) {
    divisors = std::move(divisors_.extract(place).mapped());
  }
  const auto factor = [&](std::int64_t r) {
    return divisors.empty() ? 1.0f : divisors[static_cast<std::size_t>(r)];
  };
  std::vector<std::int32_t> largest(static_cast<std::size_t>(view.values.rows));
  threads.parallel_for(view.values.rows, [&](std::int64_t r, int) {
    const std::int32_t bits = largest_bits(view.values.row(r), view.values.cols);
    largest[static_cast<std::size_t>(r)] =
        std::bit_cast<std::int32_t>(std::bit_cast<float>(bits) * factor(r));
  });
  const auto row = std::max_element(largest.begin(), largest.end());
  const std::int64_t position = row - largest.begin();
  Extreme& extreme = by_site_[view.site];
  if (*row > std::bit_cast<std::int32_t>(std::abs(extreme.value))) {
    const float* values = view.values.row(position);
    const std::int32_t bits = largest_bits(values, view.values.cols);
    const float* value = std::find_if(values, values + view.values.cols, [&](float x) {
      return (std::bit_cast<std::int32_t>(x) & 0x7fffffff) == bits;
    });
    extreme = {*value * factor(position), view.sequence, view.first_position + position,
               value - values};
  }
}

}  // namespace massact::observe
