#include "massact/run/added_tokens.h"

#include <fmt/format.h>

#include <algorithm>

namespace massact {

std::string no_added_tokens(const ModelConfig& config) {
  const bool windows = std::any_of(config.windows.begin(), config.windows.end(),
                                   [](std::int64_t window) { return window > 0; });
  // A token outside the grid is in no window and has no place.
  if (!windows && !config.vision.has_windows() && !config.vision.relative_positions) return "";
  return fmt::format(
      "expected a model whose patches all see any token to add, got windows or relative positions "
      "({})",
      config.name);
}

}  // namespace massact
