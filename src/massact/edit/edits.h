// The edits: what becomes of the scalars that a selector chooses, and fake quantisation.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "massact/edit/selector.h"

namespace massact::edit {

/// Where a scalar is.
struct Place {
  Site site;
  std::int64_t sequence = 0;
  std::int64_t position = 0;  ///< as in Scalar
  std::int64_t dimension = 0;
};

/// What becomes of one scalar.
struct Change {
  std::string name;  ///< "zero", "scale 0.5"
  std::function<float(float value, const Place& place)> apply;
};

Change zero();
Change set(float value);
Change scale(float factor);
/// Limits the magnitude: max(-limit, min(limit, value)).
Change clamp(float limit);
/// Adds a normal random number of deviation sigma (`relative`: sigma · |value|), a function of seed
/// and place alone: another one at every site, block, sequence, position and dimension.
Change noise(double sigma, bool relative, std::uint64_t seed);

/// Signed means by (position class, dimension): what a massive activation is on average.
class Means {
 public:
  struct Entry {
    double mean = 0.0;
    std::int64_t n = 0;  ///< scalars averaged
  };
  void add(const std::string& position_class, std::int64_t dimension, double value);
  /// Null if nothing of that class was averaged.
  const Entry* find(std::string_view position_class, std::int64_t dimension) const;
  const std::map<std::pair<std::string, std::int64_t>, Entry>& entries() const { return entries_; }

 private:
  std::map<std::pair<std::string, std::int64_t>, Entry> entries_;
};

/// Sets the mean of the scalar's position class and dimension. Throws Error, when applied, for a
/// class without a mean.
Change mean(std::shared_ptr<const Means> means, std::shared_ptr<const PositionLabels> labels);

/// `change` for all scalars that `selector` chooses.
std::unique_ptr<Edit> edit_scalars(std::shared_ptr<const Selector> selector, Change change,
                                   std::int64_t prefix_rows);

/// Fake quantisation: x̂ = s·round(x / s) with s = max|x| / (2^(bits-1) − 1), in the way of
/// SmoothQuant's simulation (arXiv 2211.10438).
struct Quantisation {
  int bits = 8;           ///< 8 or 4
  bool per_token = true;  ///< else one step for a whole sequence
  /// What happens to the scalars of `apart`: they neither set the step nor are rounded, and keep
  /// their value or become their mean. Null: nothing is apart.
  std::shared_ptr<const Selector> apart;
  std::shared_ptr<const Means> means;  ///< with `labels`: the scalars apart become it
  std::shared_ptr<const PositionLabels> labels;
};
std::unique_ptr<Edit> quantise(Quantisation options, std::int64_t prefix_rows);

}  // namespace massact::edit
