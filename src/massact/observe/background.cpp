#include "massact/observe/background.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace massact::observe {
namespace {

constexpr std::int64_t kRowsPerBlock = 64;

Column read_column(std::span<float> column, std::int32_t dimension) {
  Column result;
  const auto peak = std::max_element(column.begin(), column.end(),
                                     [](float a, float b) { return std::abs(a) < std::abs(b); });
  result.peak = {std::bit_cast<std::uint32_t>(std::abs(*peak)),
                 static_cast<std::int32_t>(peak - column.begin()), dimension, *peak};
  for (float& x : column) x = std::abs(x);
  result.median = OtherMedian(column);
  return result;
}

}  // namespace

OtherMedian::OtherMedian(std::span<float> magnitudes) : count_(magnitudes.size()) {
  if (count_ < 2) return;
  const auto middle = magnitudes.begin() + static_cast<std::ptrdiff_t>((count_ - 2) / 2);
  std::nth_element(magnitudes.begin(), middle, magnitudes.end());
  at_ = *middle;
  next_ = *std::min_element(middle + 1, magnitudes.end());
}

float OtherMedian::without(float magnitude) const { return magnitude <= at_ ? next_ : at_; }

std::vector<Column> read_columns(ConstFloatMatrix values, std::span<const std::int32_t> dimensions,
                                 Threads& threads) {
  const auto rows = static_cast<std::size_t>(values.rows);
  std::vector<float> gathered(dimensions.size() * rows);
  // Row by row: one page of memory per row instead of one per value.
  const std::int64_t blocks = (values.rows + kRowsPerBlock - 1) / kRowsPerBlock;
  threads.parallel_for(blocks, [&](std::int64_t b, int) {
    const std::int64_t end = std::min(values.rows, (b + 1) * kRowsPerBlock);
    for (std::int64_t r = b * kRowsPerBlock; r < end; ++r) {
      float* out = gathered.data() + r;
      for (std::size_t i = 0; i < dimensions.size(); ++i) out[i * rows] = values(r, dimensions[i]);
    }
  });
  std::vector<Column> columns(dimensions.size());
  threads.parallel_for(std::ssize(columns), [&](std::int64_t i, int) {
    const auto c = static_cast<std::size_t>(i);
    columns[c] = read_column(std::span(gathered).subspan(c * rows, rows), dimensions[c]);
  });
  return columns;
}

std::vector<OtherMedian> read_rows(ConstFloatMatrix values, std::span<const std::int32_t> positions,
                                   Threads& threads) {
  std::vector<OtherMedian> medians(positions.size());
  threads.parallel_for(std::ssize(medians), [&](std::int64_t i, int) {
    const auto slot = static_cast<std::size_t>(i);
    const float* row = values.row(positions[slot]);
    std::vector<float> magnitudes(static_cast<std::size_t>(values.cols));
    std::transform(row, row + values.cols, magnitudes.begin(), [](float x) { return std::abs(x); });
    medians[slot] = OtherMedian(magnitudes);
  });
  return medians;
}

}  // namespace massact::observe
