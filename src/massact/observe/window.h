// The first positions of one sequence, whole: what pictures of a layer are drawn from.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "massact/observe/magnitudes.h"
#include "massact/run/observer.h"

namespace massact::observe {

struct WindowOptions {
  std::int64_t sequence = 0;
  std::int64_t positions = 64;  ///< kept at most, from position 0 on
};

/// Bytes that Window keeps.
std::uint64_t window_bytes(const HiddenStates& watched, const WindowOptions& options);

/// Keeps rows [0, positions) of the residual stream of one sequence, at `resid_post` of any blocks
/// (layer = block + 1) and `resid_pre` of block 0 (layer 0). Costs positions * d floats per layer.
class Window final : public Observer {
 public:
  explicit Window(WindowOptions options = {}) : options_(options) {}
  void observe(const SiteView& view, Threads& threads) override;

  /// One layer's values, row-major [positions, width].
  struct Layer {
    std::int64_t positions = 0;
    std::int64_t width = 0;
    std::vector<float> values;
    float at(std::int64_t position, std::int64_t dimension) const {
      return values[static_cast<std::size_t>(position * width + dimension)];
    }
  };
  /// By layer as users count; empty if the sequence never came by.
  const std::map<int, Layer>& layers() const { return layers_; }
  std::int64_t sequence() const { return options_.sequence; }

 private:
  WindowOptions options_;
  std::map<int, Layer> layers_;
};

}  // namespace massact::observe
