#include "massact/model/workspace.h"

#include <algorithm>

#include "massact/model/moe.h"

namespace massact {
namespace {

// What attention on a grid adds, per row: a bias for each place, and the rows of windows moved to
// stand together.
std::int64_t grid_floats(const ModelConfig& config) {
  const VisionConfig& vision = config.vision;
  if (!vision.has_windows() && !vision.relative_positions) return 0;
  const PatchGrid grid = vision.trained_grid();
  std::int64_t places = vision.relative_positions ? grid.rows + grid.columns : 0, moved = 0;
  for (const std::int64_t window : vision.windows) {
    if (window == 0) continue;
    if (vision.relative_positions) places = std::max(places, 4 * window);  // and moved
    moved = 2 * (config.heads + config.kv_heads) * config.head_size;
  }
  return config.heads * (places + 2) + moved;
}

}  // namespace

std::uint64_t Workspace::bytes_for(const ModelConfig& config, std::int64_t rows) {
  const std::int64_t heads = (2 * config.heads + 2 * config.kv_heads) * config.head_size;
  const std::int64_t mlp = config.mlp_size * (config.gated_mlp ? 2 : 1);
  const std::int64_t widest =
      std::max({config.width, config.mlp_size, config.heads * config.head_size});
  const std::uint64_t experts = config.moe.experts > 0 ? MoeMlp::workspace_bytes(config, rows) : 0;
  // `explain` looks into the norms behind the branches.
  const std::int64_t normalized = config.has_branch_norms() ? config.width : 0;
  // Two more bytes per value of the widest product's input: its bf16 copy.
  return experts + static_cast<std::uint64_t>(rows * (4 * (2 * config.width + normalized + heads +
                                                           mlp + grid_floats(config)) +
                                                      2 * widest));
}

std::uint64_t Workspace::sums_bytes_for(const ModelConfig& config, std::int64_t rows) {
  const std::int64_t per_head =
      3 * static_cast<std::int64_t>(sizeof(double)) + 4 * static_cast<std::int64_t>(sizeof(float));
  // Windows are summed by themselves first.
  const std::int64_t copies = config.vision.has_windows() ? 2 : 1;
  return static_cast<std::uint64_t>(copies * rows * config.heads *
                                    (per_head + 4 * config.head_size));
}

}  // namespace massact
