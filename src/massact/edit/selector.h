// Which scalars of a site an edit is about.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "massact/run/finding.h"
#include "massact/run/observer.h"

namespace massact::edit {

/// Positions count from the sequence's first row, the sink token's row included where there is one.
struct Scalar {
  std::int64_t position = 0;
  std::int64_t dimension = 0;
  auto operator<=>(const Scalar&) const = default;
};

/// By sequence of the plan: its scalars, ascending.
using ScalarLists = std::map<std::int64_t, std::vector<Scalar>>;

/// Chooses scalars of a site. Immutable; thread-safe.
class Selector {
 public:
  /// Receives a position and dimensions in it, ascending. `dimensions` is valid during the call.
  using Use = std::function<void(std::int64_t position, std::span<const std::int64_t> dimensions)>;

  virtual ~Selector() = default;
  /// Calls `use` for the rows of `view` that have chosen scalars, ascending. May read the values.
  virtual void select(const SiteView& view, const Use& use) const = 0;
  /// "start, dimensions 5 19".
  virtual std::string description() const = 0;
};

/// The position of a view's row 0, counted as `Scalar` does.
std::int64_t first_position_of(const SiteView& view, std::int64_t prefix_rows);

/// Which positions, by what they are.
struct Positions {
  enum class Kind : std::uint8_t { all, position_class, index };
  Kind kind = Kind::all;
  std::string position_class;       ///< for position_class
  std::vector<std::int64_t> index;  ///< for index, ascending

  std::string description() const;
};

/// Positions × dimensions, the same in every sequence. Empty `dimensions`: all.
std::unique_ptr<Selector> by_position(Positions positions, std::vector<std::int64_t> dimensions,
                                      std::shared_ptr<const PositionLabels> labels,
                                      std::int64_t prefix_rows);

/// A list for every sequence; `name` says what they are ("found").
std::unique_ptr<Selector> by_list(std::string name, std::shared_ptr<const ScalarLists> scalars,
                                  std::int64_t prefix_rows);

/// For every scalar of the lists another one of the same token, whose magnitude is as near as can
/// be to its sequence's median in `medians` (ties: the lower dimension) and which is not listed.
std::unique_ptr<Selector> near_median(std::shared_ptr<const ScalarLists> instead_of,
                                      std::map<std::int64_t, double> medians,
                                      std::int64_t prefix_rows);

/// For every scalar of the lists another one of the same token, chosen at random among those that
/// are not listed: a function of seed, sequence and position alone.
ScalarLists random_instead_of(const ScalarLists& scalars, std::int64_t width, std::uint64_t seed);

/// In the same tokens as the lists and as many per token (fewer if there are fewer candidates):
/// dimensions out of `candidates`, in that order, that are not listed in any token.
ScalarLists candidates_instead_of(const ScalarLists& scalars,
                                  std::span<const std::int64_t> candidates);

/// How many scalars the lists hold.
std::int64_t count_of(const ScalarLists& scalars);

}  // namespace massact::edit
