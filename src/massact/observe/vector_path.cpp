#include "massact/observe/vector_path.h"

#include <algorithm>
#include <cmath>
#include <functional>

namespace massact::observe {
namespace {

struct Measured {
  double energy = 0.0;
  std::array<double, kTopDimensions.size()> top{};
};

Measured measure(std::span<const float> x) {
  std::vector<float> squares;
  squares.reserve(x.size());
  Measured result;
  for (const float value : x) {
    squares.push_back(value * value);
    result.energy += static_cast<double>(value) * value;
  }
  const auto most = std::min(squares.size(), static_cast<std::size_t>(kTopDimensions.back()));
  std::partial_sort(squares.begin(), squares.begin() + static_cast<std::ptrdiff_t>(most),
                    squares.end(), std::greater<>());
  double sum = 0;
  std::size_t next = 0;
  for (std::size_t n = 0; n < kTopDimensions.size(); ++n) {
    while (next < std::min(most, static_cast<std::size_t>(kTopDimensions[n]))) {
      sum += static_cast<double>(squares[next++]);
    }
    result.top[n] = result.energy > 0 ? std::min(1.0, sum / result.energy) : 0.0;
  }
  return result;
}

void add(std::span<const float> x, const Measured& measured, PathPoint& point) {
  ++point.tokens;
  point.norm += std::sqrt(measured.energy);
  point.energy += measured.energy;
  for (std::size_t n = 0; n < point.top.size(); ++n) point.top[n] += measured.top[n];
  point.sum.resize(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) point.sum[i] += static_cast<double>(x[i]);
}

}  // namespace

double PathPoint::variance() const {
  if (energy == 0) return 0.0;
  const auto n = static_cast<double>(tokens);
  double mean_energy = 0;
  for (const double value : sum) mean_energy += (value / n) * (value / n);
  return std::max(0.0, 1.0 - mean_energy / (energy / n));
}

std::uint64_t vector_path_bytes(const ModelConfig& config) {
  // No input has tokens of more groups: five classes, massive ones and the rest.
  constexpr std::int64_t kSeenGroups = 7;
  const std::int64_t values =
      2 * config.width + (config.heads + 2 * config.kv_heads) * config.head_size;
  const std::int64_t sums = kSeenGroups * values * static_cast<std::int64_t>(sizeof(double));
  const std::int64_t points =
      static_cast<std::int64_t>(kPathSites.size() * sizeof(VectorPath::Groups));
  return static_cast<std::uint64_t>(config.layers * (sums + points));
}

// All tokens of C, and of every class some of the others.
std::vector<VectorPath::Row> VectorPath::rows_of(const SiteView& view) const {
  std::vector<Row> rows;
  const auto massive = options_.massive->at(view.site.block, view.sequence);
  std::array<std::vector<std::int64_t>, kGroups> by_class;
  for (std::int64_t i = 0; i < view.values.rows; ++i) {
    const Group group = group_of_class(options_.labels->position_class(view.sequence, i));
    if (std::binary_search(massive.begin(), massive.end(), i)) {
      rows.push_back({i, group, true});
    } else {
      by_class[static_cast<std::size_t>(group)].push_back(i);
    }
  }
  for (std::size_t group = 0; group < kGroups; ++group) {
    const auto& all = by_class[group];
    const auto count = std::ssize(all), taken = std::min(count, options_.per_class);
    for (std::int64_t n = 0; n < taken; ++n) {
      rows.push_back(
          {all[static_cast<std::size_t>(n * count / taken)], static_cast<Group>(group), false});
    }
  }
  return rows;
}

void VectorPath::observe(const SiteView& view, Threads& threads) {
  const std::vector<Row> rows = rows_of(view);
  const auto vector_at = [&](std::size_t i) {
    return std::span<const float>(view.values.row(rows[i].position),
                                  static_cast<std::size_t>(view.values.cols));
  };
  std::vector<Measured> measured(rows.size());
  threads.parallel_for(std::ssize(rows), [&](std::int64_t i, int) {
    measured[static_cast<std::size_t>(i)] = measure(vector_at(static_cast<std::size_t>(i)));
  });
  Groups& groups = points_[view.site];
  for (std::size_t i = 0; i < rows.size(); ++i) {
    add(vector_at(i), measured[i], groups[static_cast<std::size_t>(rows[i].position_class)]);
    const Group kind = rows[i].massive ? Group::massive : Group::rest;
    add(vector_at(i), measured[i], groups[static_cast<std::size_t>(kind)]);
  }
}

}  // namespace massact::observe
