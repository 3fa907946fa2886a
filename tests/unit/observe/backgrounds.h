// Kinds of hidden states without massive activations, and with planted ones: what the automatic
// rule is measured on.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "massact/observe/magnitudes.h"
#include "unit/observe/synthetic.h"

namespace massact::testing {

/// The distribution of a single value, before scales.
enum class Tail { normal, laplace, student };

struct Background {
  std::string name;
  Tail tail = Tail::normal;
  int freedom = 0;               ///< student: degrees of freedom
  double dimension_spread = 0;   ///< standard deviation of ln(scale) over dimensions
  double token_spread = 0;       ///< the same over tokens
  int outlier_dimensions = 0;    ///< so many dimensions are 40 times larger for every token
  bool repeated_tokens = false;  ///< only 16 different tokens, with equal values (an embedding)
  double planted_ratio = 0;      ///< size of what is planted, in medians; 0: nothing
};

inline std::vector<Background> backgrounds() {
  return {{.name = "normal"},
          {.name = "Laplace", .tail = Tail::laplace},
          {.name = "Student t, 10", .tail = Tail::student, .freedom = 10},
          {.name = "Student t, 5", .tail = Tail::student, .freedom = 5},
          {.name = "Student t, 3", .tail = Tail::student, .freedom = 3},
          {.name = "normal, dimension scales e^(0.5 z)", .dimension_spread = 0.5},
          {.name = "normal, dimension scales e^z", .dimension_spread = 1.0},
          {.name = "Laplace, dimension e^(0.7 z), token e^(0.5 z)",
           .tail = Tail::laplace,
           .dimension_spread = 0.7,
           .token_spread = 0.5},
          {.name = "normal, token scales e^z", .token_spread = 1.0},
          {.name = "normal, 6 outlier dimensions x40", .outlier_dimensions = 6},
          {.name = "normal, 16 repeated tokens", .repeated_tokens = true}};
}

inline double draw(const Background& background, Random& random) {
  switch (background.tail) {
    case Tail::normal:
      return random.normal();
    case Tail::laplace: {
      const double sign = random.uniform() < 0.5 ? -1.0 : 1.0;
      return -sign * std::log(random.uniform());
    }
    case Tail::student:
      break;
  }
  // Chi-squared with 2 k degrees of freedom is -2 ln of k uniforms' product.
  double product = 1.0;
  for (int i = 0; i < background.freedom / 2; ++i) product *= random.uniform();
  const double odd = background.freedom % 2 == 1 ? random.normal() : 0.0;
  const double squares = odd * odd - 2.0 * std::log(product);
  return random.normal() / std::sqrt(squares / background.freedom);
}

struct ScanShape {
  std::int64_t rows = 0, cols = 0;
  int layers = 1, sequences = 1;
};

/// The planted dimensions, at position 0.
inline constexpr std::int64_t kPlanted[2] = {3, 17};

/// One layer's hidden state. Dimension scales are the same for all sequences of a layer.
inline Hidden make_hidden(const Background& background, std::int64_t rows, std::int64_t cols,
                          std::uint64_t layer_seed, std::uint64_t seed) {
  Random scales(layer_seed), random(seed);
  std::vector<double> of_dimension(static_cast<std::size_t>(cols));
  for (double& s : of_dimension) s = std::exp(background.dimension_spread * scales.normal());
  for (int i = 0; i < background.outlier_dimensions; ++i) {
    of_dimension[static_cast<std::size_t>((i + 1) * 5) % of_dimension.size()] = 40.0;
  }
  Hidden hidden(rows, cols);
  for (std::int64_t r = 0; r < rows; ++r) {
    if (background.repeated_tokens) random = Random(layer_seed * 31 + random.bits() % 16);
    const double of_token = std::exp(background.token_spread * random.normal());
    for (std::int64_t c = 0; c < cols; ++c) {
      hidden.at(r, c) = static_cast<float>(of_token * of_dimension[static_cast<std::size_t>(c)] *
                                           draw(background, random));
    }
    if (background.repeated_tokens) random = Random(seed + static_cast<std::uint64_t>(r) + 1);
  }
  if (background.planted_ratio > 0.0) {
    std::vector<float> sorted = hidden.values;
    for (float& x : sorted) x = std::abs(x);
    const auto middle = sorted.begin() + (std::ssize(sorted) - 1) / 2;
    std::nth_element(sorted.begin(), middle, sorted.end());
    for (const std::int64_t d : kPlanted) {
      // Just above, so that rounding does not decide.
      hidden.at(0, d) = *middle * static_cast<float>(background.planted_ratio * 1.001);
    }
  }
  return hidden;
}

/// Position 0 is `start`, everything else `other`.
class PlainLabels final : public PositionLabels {
 public:
  std::string_view position_class(std::int64_t, std::int64_t position) const override {
    return position == 0 ? "start" : "other";
  }
  std::int32_t token_id(std::int64_t, std::int64_t position) const override {
    return static_cast<std::int32_t>(position % 100);
  }
  std::string token_text(std::int64_t sequence, std::int64_t position) const override {
    return "t" + std::to_string(token_id(sequence, position));
  }
  std::string text_before(std::int64_t, std::int64_t) const override { return "before"; }
  std::string text_after(std::int64_t, std::int64_t) const override { return "after"; }
};

/// What the automatic rule finds in `shape.layers` x `shape.sequences` hidden states.
inline FindingSet scan_background(const Background& background, const ScanShape& shape,
                                  std::uint64_t seed, Threads& threads) {
  observe::Magnitudes magnitudes;
  for (int layer = 0; layer < shape.layers; ++layer) {
    const std::uint64_t layer_seed = seed * 1000 + static_cast<std::uint64_t>(layer) + 1;
    for (int s = 0; s < shape.sequences; ++s) {
      Hidden hidden = make_hidden(background, shape.rows, shape.cols, layer_seed,
                                  layer_seed * 1000 + static_cast<std::uint64_t>(s));
      show(magnitudes, hidden, threads, layer, s);
    }
  }
  return magnitudes.findings(Rule::automatic(), PlainLabels{});
}

/// True if both planted dimensions are found at the start token, with this label.
inline bool finds_planted(const FindingSet& set, Label label) {
  int found = 0;
  for (const Finding& finding : set.findings) {
    for (const std::int64_t d : kPlanted) {
      found += finding.dimension == d && finding.position_class == "start" && finding.label == label
                   ? 1
                   : 0;
    }
  }
  return found == 2;
}

}  // namespace massact::testing
