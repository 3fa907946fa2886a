// What the scripts of several figures share.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "massact/report/figure_scripts.h"

namespace massact {

/// Axes whose values span more than this factor are logarithmic.
inline constexpr double kLogFrom = 5.0;

/// `text` at a place of an axis, as gnuplot's `set xtics (…)` takes it.
std::string tick(std::string_view text, double at);

/// All labels, at 0, 1, 2 …
std::string ticks(const std::vector<std::string>& labels);

/// The smallest and largest of the positive values it was given.
struct Range {
  double low = 1e300, high = 0.0;
  void take(double value);
  /// Whole powers of ten around them, so that models are drawn on the same axis.
  std::string decades() const;
};

/// Perplexity of every variant with its error bar; of image models top-1 in %, or where classes are
/// unknown the cosine of the features to the original's. Empty if there is none of them.
std::optional<Figure> ablation_figure(const ModelResults& model);

}  // namespace massact
