#include "massact/observe/background.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace massact::observe {
namespace {

constexpr std::int64_t kRowsPerBlock = 64;

Column read_column(std::span<const float> column, std::int32_t dimension) {
  Column result;
  const auto peak = std::max_element(column.begin(), column.end(),
                                     [](float a, float b) { return std::abs(a) < std::abs(b); });
  result.peak = {std::bit_cast<std::uint32_t>(std::abs(*peak)),
                 static_cast<std::int32_t>(peak - column.begin()), dimension, *peak};
  result.median = OtherMedian(column);
  return result;
}

}  // namespace

OtherMedian::OtherMedian(std::span<const float> values) {
  if (values.size() >= 2) candidates_ = order_statistics(values, (values.size() - 2) / 2);
}

float OtherMedian::without(float magnitude) const {
  return magnitude <= candidates_.at ? candidates_.next : candidates_.at;
}

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
    medians[slot] =
        OtherMedian(std::span(values.row(positions[slot]), static_cast<std::size_t>(values.cols)));
  });
  return medians;
}

}  // namespace massact::observe
