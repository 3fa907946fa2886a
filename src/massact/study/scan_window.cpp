#include "massact/study/scan_window.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

namespace massact {
namespace {

// Of the dimensions, at most this share is taken by findings and by the window's largest values:
// without plain dimensions beside them nobody sees how far they stand out.
constexpr std::size_t kFindingShare = 2;
constexpr std::size_t kLargestShare = 6;

// The window's dimensions by their largest |h| over all layers, falling.
std::vector<std::int64_t> by_magnitude(const observe::Window& window, std::int64_t width) {
  std::vector<float> largest(static_cast<std::size_t>(width), 0.0f);
  for (const auto& [number, layer] : window.layers()) {
    for (std::size_t i = 0; i < layer.values.size(); ++i) {
      float& most = largest[i % largest.size()];
      most = std::max(most, std::abs(layer.values[i]));
    }
  }
  std::vector<std::int64_t> order(largest.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
    return largest[static_cast<std::size_t>(a)] > largest[static_cast<std::size_t>(b)];
  });
  return order;
}

std::vector<WindowDimension> choose_dimensions(const observe::Window& window,
                                               const FindingSet& findings, std::int64_t width,
                                               std::size_t count) {
  count = std::min(count, static_cast<std::size_t>(width));
  std::map<std::int64_t, bool> chosen;
  for (const Finding& finding : findings.findings) {
    if (chosen.size() < count / kFindingShare) chosen.emplace(finding.dimension, true);
  }
  const std::size_t with_largest = std::min(count, chosen.size() + count / kLargestShare);
  for (const std::int64_t dimension : by_magnitude(window, width)) {
    if (chosen.size() >= with_largest) break;
    chosen.emplace(dimension, false);
  }
  // Evenly spread, and where a place is taken the next free one.
  const std::size_t rest = count - chosen.size();
  for (std::size_t i = 0; i < rest; ++i) {
    std::int64_t dimension =
        static_cast<std::int64_t>((2 * i + 1) * static_cast<std::size_t>(width) / (2 * rest));
    while (!chosen.emplace(dimension, false).second) dimension = (dimension + 1) % width;
  }
  std::vector<WindowDimension> dimensions;
  for (const auto& [dimension, has_finding] : chosen)
    dimensions.push_back({dimension, has_finding});
  return dimensions;
}

}  // namespace

ScanWindow make_window(const observe::Window& window, const FindingSet& findings,
                       const std::vector<std::int64_t>& lengths, const PositionLabels& labels,
                       const ScanWindowOptions& options) {
  ScanWindow out;
  out.sequence = window.sequence();
  if (window.layers().empty()) return out;
  const observe::Window::Layer& first = window.layers().begin()->second;
  for (std::int64_t position = 0; position < first.positions; ++position) {
    out.tokens.push_back(labels.token_text(out.sequence, position));
    out.classes.emplace_back(labels.position_class(out.sequence, position));
  }
  out.dimensions = choose_dimensions(window, findings, first.width, options.dimensions);
  for (const auto& [number, layer] : window.layers()) {
    WindowLayer& row = out.layers.emplace_back();
    row.layer = number;
    for (std::int64_t position = 0; position < layer.positions; ++position) {
      for (const WindowDimension& d : out.dimensions) {
        row.values.push_back(layer.at(position, d.dimension));
      }
    }
  }
  const std::int64_t texts = std::min<std::int64_t>(options.texts, std::ssize(lengths));
  for (std::int64_t sequence = 0; sequence < texts; ++sequence) {
    SequenceText& text = out.texts.emplace_back();
    text.sequence = sequence;
    const std::int64_t positions =
        std::min(lengths[static_cast<std::size_t>(sequence)], options.text_tokens);
    for (std::int64_t position = 0; position < positions; ++position) {
      text.tokens.push_back(labels.token_text(sequence, position));
    }
  }
  return out;
}

}  // namespace massact
