#include "massact/model/neck.h"

#include "massact/model/pack_weights.h"

namespace massact {
namespace {

constexpr std::int64_t kSide = 3;      // of the convolution's kernel
constexpr float kNormEpsilon = 1e-6f;  // in every implementation, whatever the blocks have

// The neighbourhoods of one row of patches, in the order of the kernel: channel, row, column.
void unfold_row(ConstFloatMatrix x, PatchGrid grid, std::int64_t row, FloatMatrix out) {
  for (std::int64_t column = 0; column < grid.columns; ++column) {
    float* values = out.row(column);
    for (std::int64_t dy = 0; dy < kSide; ++dy) {
      for (std::int64_t dx = 0; dx < kSide; ++dx) {
        const std::int64_t y = row + dy - 1, x_at = column + dx - 1;
        const bool inside = y >= 0 && y < grid.rows && x_at >= 0 && x_at < grid.columns;
        const float* patch = inside ? x.row(y * grid.columns + x_at) : nullptr;
        for (std::int64_t c = 0; c < x.cols; ++c) {
          values[(c * kSide + dy) * kSide + dx] = inside ? patch[c] : 0.0f;
        }
      }
    }
  }
}

}  // namespace

Neck::Neck(const Model& model, ops::Precision precision, Threads& threads) : model_(model) {
  const BoundWeights& weights = model_.weights();
  const ops::Precision own = ops::unquantised(precision);
  projection_ = pack_weights(weights, "head.", {"W_project"}, own, threads);
  convolution_ = pack_weights(weights, "head.", {"W_convolve"}, own, threads);
  ln1_ = NormWeights::read(weights, "head.ln1");
  ln2_ = NormWeights::read(weights, "head.ln2");
}

void Neck::normalise(const NormWeights& norm, FloatMatrix x, Threads& threads) const {
  ops::NormOptions options = norm.options(model_.config());
  options.eps = kNormEpsilon;
  ops::norm(x, options, {.out = x}, threads);
}

void Neck::run(ConstFloatMatrix hidden, FloatMatrix features, Threads& threads) const {
  const PatchGrid grid = model_.config().vision.trained_grid();
  const std::int64_t n = projection_.n();
  Buffer<float> projected(hidden.rows * n), unfolded(grid.columns * n * kSide * kSide);
  const FloatMatrix patches(projected.data(), hidden.rows, n);
  ops::matmul(hidden, projection_, patches, threads);
  normalise(ln1_, patches, threads);
  const FloatMatrix neighbourhoods(unfolded.data(), grid.columns, n * kSide * kSide);
  for (std::int64_t row = 0; row < grid.rows; ++row) {
    unfold_row(patches, grid, row, neighbourhoods);
    ops::matmul(neighbourhoods, convolution_, features.slice_rows(row * grid.columns, grid.columns),
                threads);
  }
  normalise(ln2_, features, threads);
}

std::uint64_t Neck::packed_bytes(const ModelConfig& config, ops::Precision precision) {
  const std::int64_t n = config.head.outputs;
  return static_cast<std::uint64_t>((config.width + n * kSide * kSide) * n *
                                    ops::bytes_of(ops::unquantised(precision)));
}

std::uint64_t Neck::workspace_bytes(const ModelConfig& config) {
  const PatchGrid grid = config.vision.trained_grid();
  const std::int64_t floats = config.head.outputs * (grid.count() + grid.columns * kSide * kSide);
  return static_cast<std::uint64_t>(floats) * sizeof(float);
}

}  // namespace massact
