#include "massact/observe/window.h"

#include <algorithm>

#include "massact/run/plan.h"

namespace massact::observe {

std::uint64_t window_bytes(const HiddenStates& watched, const WindowOptions& options) {
  const std::int64_t positions = std::min(watched.longest, options.positions);
  return static_cast<std::uint64_t>(watched.layers * watched.width * positions) * sizeof(float);
}

void Window::observe(const SiteView& view, Threads&) {
  if (view.sequence != options_.sequence || view.first_position >= options_.positions) return;
  Layer& layer = layers_[layer_of(view.site)];
  layer.width = view.values.cols;
  const std::int64_t most = std::min<std::int64_t>(std::ssize(view.tokens), options_.positions);
  layer.values.reserve(static_cast<std::size_t>(most * layer.width));
  // Pieces come in order of position.
  const std::int64_t rows = std::min(view.values.rows, options_.positions - view.first_position);
  for (std::int64_t r = 0; r < rows; ++r) {
    const float* row = view.values.row(r);
    layer.values.insert(layer.values.end(), row, row + view.values.cols);
  }
  layer.positions += rows;
}

}  // namespace massact::observe
