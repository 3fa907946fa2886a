#include "massact/observe/background.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace massact::observe {
namespace {

constexpr std::int64_t kRowsPerBlock = 64;

// Magnitudes of a row or column, sorted as far as needed: the lower median of the n - 1 others,
// whichever value is left out, is one of two neighbouring order statistics.
class OtherMedian {
 public:
  explicit OtherMedian(std::span<float> magnitudes) : count_(magnitudes.size()) {
    if (count_ < 2) return;
    const auto middle = magnitudes.begin() + static_cast<std::ptrdiff_t>((count_ - 2) / 2);
    std::nth_element(magnitudes.begin(), middle, magnitudes.end());
    at_ = *middle;
    next_ = *std::min_element(middle + 1, magnitudes.end());
  }

  // The lower median without one value of this magnitude.
  float without(float magnitude) const {
    if (count_ < 2) return 0.0f;
    return magnitude <= at_ ? next_ : at_;
  }

 private:
  std::size_t count_;
  float at_ = 0.0f, next_ = 0.0f;
};

// Distinct values of `key` over the scalars -> consecutive slots.
template <typename Key>
std::map<std::int32_t, std::size_t> slots(std::span<const Scalar> scalars, Key key) {
  std::map<std::int32_t, std::size_t> result;
  for (const Scalar& s : scalars) result.emplace(key(s), 0);
  std::size_t slot = 0;
  for (auto& entry : result) entry.second = slot++;
  return result;
}

std::vector<OtherMedian> row_medians(ConstFloatMatrix values,
                                     const std::map<std::int32_t, std::size_t>& rows,
                                     Threads& threads) {
  std::vector<std::int32_t> positions;
  for (const auto& entry : rows) positions.push_back(entry.first);
  std::vector<OtherMedian> result(positions.size(), OtherMedian({}));
  threads.parallel_for(std::ssize(positions), [&](std::int64_t i, int) {
    const auto slot = static_cast<std::size_t>(i);
    const float* row = values.row(positions[slot]);
    std::vector<float> magnitudes(static_cast<std::size_t>(values.cols));
    std::transform(row, row + values.cols, magnitudes.begin(), [](float x) { return std::abs(x); });
    result[slot] = OtherMedian(magnitudes);
  });
  return result;
}

std::vector<OtherMedian> column_medians(ConstFloatMatrix values,
                                        const std::map<std::int32_t, std::size_t>& columns,
                                        Threads& threads) {
  const auto rows = static_cast<std::size_t>(values.rows);
  std::vector<float> gathered(columns.size() * rows);
  // Row by row: one page of memory per row instead of one per value.
  const std::int64_t blocks = (values.rows + kRowsPerBlock - 1) / kRowsPerBlock;
  threads.parallel_for(blocks, [&](std::int64_t b, int) {
    const std::int64_t end = std::min(values.rows, (b + 1) * kRowsPerBlock);
    for (std::int64_t r = b * kRowsPerBlock; r < end; ++r) {
      for (const auto& [dimension, slot] : columns) {
        gathered[slot * rows + static_cast<std::size_t>(r)] = std::abs(values(r, dimension));
      }
    }
  });
  std::vector<OtherMedian> result(columns.size(), OtherMedian({}));
  threads.parallel_for(std::ssize(result), [&](std::int64_t i, int) {
    const auto slot = static_cast<std::size_t>(i);
    result[slot] = OtherMedian(std::span(gathered).subspan(slot * rows, rows));
  });
  return result;
}

}  // namespace

std::vector<Background> backgrounds(ConstFloatMatrix values, std::span<const Scalar> scalars,
                                    Threads& threads) {
  const auto row_slots = slots(scalars, [](const Scalar& s) { return s.position; });
  const auto column_slots = slots(scalars, [](const Scalar& s) { return s.dimension; });
  const auto rows = row_medians(values, row_slots, threads);
  const auto columns = column_medians(values, column_slots, threads);
  std::vector<Background> result;
  result.reserve(scalars.size());
  for (const Scalar& s : scalars) {
    const float magnitude = std::abs(s.value);
    result.push_back({rows[row_slots.at(s.position)].without(magnitude),
                      columns[column_slots.at(s.dimension)].without(magnitude)});
  }
  return result;
}

std::vector<Scalar> column_peaks(ConstFloatMatrix values,
                                 std::span<const std::int32_t> dimensions) {
  std::vector<Scalar> peaks;
  for (const std::int32_t d : dimensions) peaks.push_back({0, 0, d, values(0, d)});
  for (std::int64_t r = 1; r < values.rows; ++r) {
    for (Scalar& peak : peaks) {
      const float value = values(r, peak.dimension);
      if (std::abs(value) <= std::abs(peak.value)) continue;
      peak.value = value;
      peak.position = static_cast<std::int32_t>(r);
    }
  }
  for (Scalar& peak : peaks) peak.bits = std::bit_cast<std::uint32_t>(std::abs(peak.value));
  return peaks;
}

}  // namespace massact::observe
