#include "massact/model/image_embedding.h"

#include <algorithm>

#include "massact/model/position_grid.h"
#include "massact/ops/elementwise.h"

namespace massact {

void unfold_patches(std::span<const float> pixels, std::int64_t height, std::int64_t width,
                    const VisionConfig& vision, FloatMatrix patches) {
  const PatchGrid grid = vision.grid_of(height, width);
  const std::int64_t ph = vision.patch_height, pw = vision.patch_width;
  for (std::int64_t row = 0; row < grid.rows; ++row) {
    for (std::int64_t channel = 0; channel < vision.channels; ++channel) {
      for (std::int64_t y = 0; y < ph; ++y) {
        const float* line = pixels.data() + (channel * height + row * ph + y) * width;
        for (std::int64_t column = 0; column < grid.columns; ++column) {
          std::copy_n(line + column * pw, pw,
                      patches.row(row * grid.columns + column) + (channel * ph + y) * pw);
        }
      }
    }
  }
}

ImageEmbedding::ImageEmbedding(const Model& model, std::int64_t height, std::int64_t width,
                               ops::Precision precision, Threads& threads)
    : model_(model),
      height_(height),
      width_(width),
      grid_(model.config().vision.grid_of(height, width)) {
  const BoundWeights& weights = model_.weights();
  const auto kernel = weights.matrix("embed.W_patch");
  projection_ = ops::PackedMatrix::pack(kernel.slices, ops::unquantised(precision), threads);
  bias_ = weights.vector("embed.b_patch");
  if (model_.config().vision.stem_norm) stem_norm_ = NormWeights::read(weights, "embed.ln");
  read_prefix();
  fit_positions();
}

void ImageEmbedding::read_prefix() {
  prefix_.width = model_.config().width;
  for (const char* name : {"sink_token", "embed.class", "embed.distillation", "embed.registers"}) {
    const std::vector<float> values = model_.weights().vector(name);
    prefix_.values.insert(prefix_.values.end(), values.begin(), values.end());
  }
}

void ImageEmbedding::fit_positions() {
  const ModelConfig& config = model_.config();
  if (config.positions != PositionKind::learned) return;
  const VisionConfig& vision = config.vision;
  const std::vector<float> table = model_.weights().vector("pos_embed.W_pos");
  // Tokens without a position of their own: the sink token, registers.
  positions_.assign(static_cast<std::size_t>(prefix_.values.size()), 0.0f);
  const std::int64_t own = vision.positioned_tokens * config.width;
  std::copy_n(table.begin(), own, positions_.begin() + config.prefix_rows() * config.width);
  const std::span<const float> patches = std::span(table).subspan(static_cast<std::size_t>(own));
  if (grid_ == vision.trained_grid()) {
    positions_.insert(positions_.end(), patches.begin(), patches.end());
    return;
  }
  const auto resized =
      resize_positions(patches, vision.trained_grid(), grid_, config.width, vision.resize);
  positions_.insert(positions_.end(), resized.begin(), resized.end());
}

void ImageEmbedding::embed(const PixelSource& pixels, std::int64_t first, FloatMatrix hidden,
                           SiteVisitor& sites, Workspace& workspace, Threads& threads) const {
  const VisionConfig& vision = model_.config().vision;
  const std::int64_t images = hidden.rows / rows(), before = prefix_.rows();
  const FloatMatrix patches =
      Workspace::take(workspace.mlp, images * grid_.count(), vision.patch_values());
  threads.parallel_for(images, [&](std::int64_t i, int) {
    static thread_local std::vector<float> image;
    image.resize(static_cast<std::size_t>(vision.channels * height_ * width_));
    pixels.read(first + i, image);
    unfold_patches(image, height_, width_, vision,
                   patches.slice_rows(i * grid_.count(), grid_.count()));
  });
  for (std::int64_t i = 0; i < images; ++i) {
    const FloatMatrix rows_of_image = hidden.slice_rows(i * rows(), rows());
    std::copy(prefix_.values.begin(), prefix_.values.end(), rows_of_image.data);
    workspace.times.measure(Stage::matmul, [&] {
      ops::matmul(patches.slice_rows(i * grid_.count(), grid_.count()), projection_,
                  rows_of_image.slice_rows(before, grid_.count()), {.bias = bias_}, threads);
    });
  }
  if (sites.wants(SiteKind::embed)) sites.visit(SiteKind::embed, hidden);
  if (!positions_.empty()) add_positions(hidden, sites, workspace, threads);
  if (vision.stem_norm) {
    ops::norm(hidden, stem_norm_.options(model_.config()), {.out = hidden}, threads);
  }
}

std::vector<float> ImageEmbedding::untrained_token(Threads& threads) const {
  std::vector<float> values(static_cast<std::size_t>(model_.config().width), 0.0f);
  if (model_.config().vision.stem_norm) {
    const FloatMatrix row(values.data(), 1, std::ssize(values));
    ops::norm(row, stem_norm_.options(model_.config()), {.out = row}, threads);
  }
  return values;
}

void ImageEmbedding::add_positions(FloatMatrix hidden, SiteVisitor& sites, Workspace& workspace,
                                   Threads& threads) const {
  const auto count = static_cast<std::int64_t>(positions_.size());
  const FloatMatrix all = Workspace::take(workspace.out, hidden.rows, hidden.cols);
  for (std::int64_t begin = 0; begin < hidden.rows * hidden.cols; begin += count) {
    std::copy(positions_.begin(), positions_.end(), all.data + begin);
  }
  if (sites.wants(SiteKind::pos_embed)) sites.visit(SiteKind::pos_embed, all);
  ops::add(hidden, all, hidden, threads);
}

std::uint64_t ImageEmbedding::bytes_for(const ModelConfig& config, std::int64_t height,
                                        std::int64_t width, std::int64_t images, int threads,
                                        ops::Precision precision) {
  const VisionConfig& vision = config.vision;
  const std::int64_t patches = vision.grid_of(height, width).count();
  const std::int64_t floats = images * patches * vision.patch_values() +
                              threads * vision.channels * height * width +
                              2 * (vision.leading_tokens() + patches) * config.width;
  return static_cast<std::uint64_t>(floats) * sizeof(float) +
         static_cast<std::uint64_t>(vision.patch_values() * config.width *
                                    ops::bytes_of(ops::unquantised(precision)));
}

}  // namespace massact
