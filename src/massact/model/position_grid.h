// Learned positions of a grid of patches, fitted to a grid of another size.
#pragma once

#include <span>
#include <vector>

#include "massact/model/vision_config.h"

namespace massact {

/// Resamples table [from.rows * from.columns, width], row by row, to [to.rows * to.columns, width]:
/// bicubic with half-pixel centres, as torch.nn.functional.interpolate does it. Without
/// antialiasing its cubic has a = -0.75, with it a = -0.5 and a wider filter where the grid
/// shrinks.
std::vector<float> resize_positions(std::span<const float> table, PatchGrid from, PatchGrid to,
                                    std::int64_t width, PositionResize how);

}  // namespace massact
