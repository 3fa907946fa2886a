#include "massact/edit/selector.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "massact/edit/random.h"

namespace massact::edit {
namespace {

// The listed dimensions of every position, gathered.
template <typename Body>
void for_each_position(const std::vector<Scalar>& scalars, const Body& body) {
  std::vector<std::int64_t> dimensions;
  for (std::size_t i = 0; i < scalars.size();) {
    const std::int64_t position = scalars[i].position;
    dimensions.clear();
    for (; i < scalars.size() && scalars[i].position == position; ++i) {
      dimensions.push_back(scalars[i].dimension);
    }
    body(position, std::span<const std::int64_t>(dimensions));
  }
}

class ByPosition final : public Selector {
 public:
  ByPosition(Positions positions, std::vector<std::int64_t> dimensions,
             std::shared_ptr<const PositionLabels> labels, std::int64_t prefix_rows)
      : positions_(std::move(positions)),
        dimensions_(std::move(dimensions)),
        labels_(std::move(labels)),
        prefix_rows_(prefix_rows) {
    std::sort(dimensions_.begin(), dimensions_.end());
    std::sort(positions_.index.begin(), positions_.index.end());
  }

  void select(const SiteView& view, const Use& use) const override {
    std::vector<std::int64_t> every;
    if (dimensions_.empty()) {
      every.resize(static_cast<std::size_t>(view.values.cols));
      std::iota(every.begin(), every.end(), 0);
    }
    const std::int64_t first = first_position_of(view, prefix_rows_);
    for (std::int64_t p = first; p < first + view.values.rows; ++p) {
      if (includes(view.sequence, p)) use(p, dimensions_.empty() ? every : dimensions_);
    }
  }

  std::string description() const override {
    if (dimensions_.empty()) return positions_.description();
    return fmt::format("{}, dimension{} {}", positions_.description(),
                       dimensions_.size() == 1 ? "" : "s", fmt::join(dimensions_, " "));
  }

 private:
  bool includes(std::int64_t sequence, std::int64_t position) const {
    switch (positions_.kind) {
      case Positions::Kind::all:
        return true;
      case Positions::Kind::index:
        return std::binary_search(positions_.index.begin(), positions_.index.end(), position);
      case Positions::Kind::position_class:
        break;
    }
    return labels_->position_class(sequence, position) == positions_.position_class;
  }

  Positions positions_;
  std::vector<std::int64_t> dimensions_;
  std::shared_ptr<const PositionLabels> labels_;
  std::int64_t prefix_rows_;
};

class ByList final : public Selector {
 public:
  ByList(std::string name, std::shared_ptr<const ScalarLists> scalars, std::int64_t prefix_rows)
      : name_(std::move(name)), scalars_(std::move(scalars)), prefix_rows_(prefix_rows) {}

  void select(const SiteView& view, const Use& use) const override {
    const auto it = scalars_->find(view.sequence);
    if (it == scalars_->end()) return;
    const std::int64_t first = first_position_of(view, prefix_rows_);
    for_each_position(it->second, [&](std::int64_t position, auto dimensions) {
      if (position >= first && position < first + view.values.rows) use(position, dimensions);
    });
  }

  std::string description() const override { return name_; }

 private:
  std::string name_;
  std::shared_ptr<const ScalarLists> scalars_;
  std::int64_t prefix_rows_;
};

class NearMedian final : public Selector {
 public:
  NearMedian(std::shared_ptr<const ScalarLists> instead_of, std::map<std::int64_t, double> medians,
             std::int64_t prefix_rows)
      : instead_of_(std::move(instead_of)),
        medians_(std::move(medians)),
        prefix_rows_(prefix_rows) {}

  void select(const SiteView& view, const Use& use) const override {
    const auto it = instead_of_->find(view.sequence);
    if (it == instead_of_->end()) return;
    const double median = medians_.at(view.sequence);
    const std::int64_t first = first_position_of(view, prefix_rows_);
    for_each_position(it->second, [&](std::int64_t position, auto listed) {
      if (position < first || position >= first + view.values.rows) return;
      const float* row = view.values.row(position - first);
      std::vector<std::pair<double, std::int64_t>> others;
      for (std::int64_t d = 0; d < view.values.cols; ++d) {
        if (std::binary_search(listed.begin(), listed.end(), d)) continue;
        others.emplace_back(std::abs(std::abs(static_cast<double>(row[d])) - median), d);
      }
      const std::size_t count = std::min(listed.size(), others.size());
      std::partial_sort(others.begin(), others.begin() + static_cast<std::ptrdiff_t>(count),
                        others.end());
      std::vector<std::int64_t> chosen;
      for (std::size_t i = 0; i < count; ++i) chosen.push_back(others[i].second);
      std::sort(chosen.begin(), chosen.end());
      use(position, chosen);
    });
  }

  std::string description() const override { return "as many near the median, same tokens"; }

 private:
  std::shared_ptr<const ScalarLists> instead_of_;
  std::map<std::int64_t, double> medians_;
  std::int64_t prefix_rows_;
};

}  // namespace

std::int64_t first_position_of(const SiteView& view, std::int64_t prefix_rows) {
  // Embeddings and the final sites do not show the sink token's row.
  const bool shows_prefix = !view.tokens.empty() && view.tokens.front() < 0;
  return view.first_position + (shows_prefix ? 0 : prefix_rows);
}

std::string Positions::description() const {
  switch (kind) {
    case Kind::all:
      return "all positions";
    case Kind::position_class:
      return position_class;
    case Kind::index:
      break;
  }
  return fmt::format("position{} {}", index.size() == 1 ? "" : "s", fmt::join(index, " "));
}

std::unique_ptr<Selector> by_position(Positions positions, std::vector<std::int64_t> dimensions,
                                      std::shared_ptr<const PositionLabels> labels,
                                      std::int64_t prefix_rows) {
  return std::make_unique<ByPosition>(std::move(positions), std::move(dimensions),
                                      std::move(labels), prefix_rows);
}

std::unique_ptr<Selector> by_list(std::string name, std::shared_ptr<const ScalarLists> scalars,
                                  std::int64_t prefix_rows) {
  return std::make_unique<ByList>(std::move(name), std::move(scalars), prefix_rows);
}

std::unique_ptr<Selector> near_median(std::shared_ptr<const ScalarLists> instead_of,
                                      std::map<std::int64_t, double> medians,
                                      std::int64_t prefix_rows) {
  return std::make_unique<NearMedian>(std::move(instead_of), std::move(medians), prefix_rows);
}

ScalarLists random_instead_of(const ScalarLists& scalars, std::int64_t width, std::uint64_t seed) {
  ScalarLists others;
  for (const auto& [sequence, list] : scalars) {
    for_each_position(list, [&](std::int64_t position, auto listed) {
      std::vector<std::pair<std::uint64_t, std::int64_t>> shuffled;
      for (std::int64_t d = 0; d < width; ++d) {
        if (std::binary_search(listed.begin(), listed.end(), d)) continue;
        shuffled.emplace_back(mix(seed, static_cast<std::uint64_t>(sequence), position, d), d);
      }
      const std::size_t count = std::min(listed.size(), shuffled.size());
      std::partial_sort(shuffled.begin(), shuffled.begin() + static_cast<std::ptrdiff_t>(count),
                        shuffled.end());
      for (std::size_t i = 0; i < count; ++i) {
        others[sequence].push_back({position, shuffled[i].second});
      }
    });
    std::sort(others[sequence].begin(), others[sequence].end());
  }
  return others;
}

ScalarLists candidates_instead_of(const ScalarLists& scalars,
                                  std::span<const std::int64_t> candidates) {
  std::set<std::int64_t> listed_anywhere;
  for (const auto& [sequence, list] : scalars) {
    for (const Scalar& scalar : list) listed_anywhere.insert(scalar.dimension);
  }
  std::vector<std::int64_t> usable;
  for (const std::int64_t d : candidates) {
    if (!listed_anywhere.contains(d)) usable.push_back(d);
  }
  ScalarLists others;
  if (usable.empty()) return others;
  for (const auto& [sequence, list] : scalars) {
    for_each_position(list, [&](std::int64_t position, auto listed) {
      for (std::size_t i = 0; i < std::min(listed.size(), usable.size()); ++i) {
        others[sequence].push_back({position, usable[i]});
      }
    });
    std::sort(others[sequence].begin(), others[sequence].end());
  }
  return others;
}

std::int64_t count_of(const ScalarLists& scalars) {
  std::int64_t count = 0;
  for (const auto& [sequence, list] : scalars) count += std::ssize(list);
  return count;
}

}  // namespace massact::edit
