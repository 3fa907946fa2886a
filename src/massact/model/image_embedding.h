// Images → residual stream: patches, class token, registers and positions of a vision model.
#pragma once

#include <cstdint>
#include <span>

#include "massact/image/pixel_source.h"
#include "massact/model/block.h"

namespace massact {

/// Cuts pixels [channels, height, width] into the grid's patches: row p of `patches` [count,
/// values] is patch p (row by row), its values in the order of a convolution's kernel: channel, y,
/// x.
void unfold_patches(std::span<const float> pixels, std::int64_t height, std::int64_t width,
                    const VisionConfig& vision, FloatMatrix patches);

/// The stem of a vision model for images of one size. Immutable; thread-safe.
class ImageEmbedding {
 public:
  /// Packs the patch projection and fits the learned positions to images of height × width.
  ImageEmbedding(const Model& model, std::int64_t height, std::int64_t width,
                 ops::Precision precision, Threads& threads);

  /// Rows of an image: the sink token's (if the model has one), class tokens, registers, patches.
  std::int64_t rows() const { return prefix_.rows() + grid_.count(); }

  /// Fills hidden [n * rows(), d] with images [first, first + n) of `pixels`, which `threads` read
  /// at the same time; stops at hook_embed and hook_pos_embed with all rows but the sink token's.
  void embed(const PixelSource& pixels, std::int64_t first, FloatMatrix hidden, SiteVisitor& sites,
             Workspace& workspace, Threads& threads) const;

  /// What the stem makes of a token that is all zeros and has no position: [d].
  std::vector<float> untrained_token(Threads& threads) const;

  /// Bytes that it holds and that `embed` needs for `images` of this size at a time.
  static std::uint64_t bytes_for(const ModelConfig& config, std::int64_t height, std::int64_t width,
                                 std::int64_t images, int threads, ops::Precision precision);

 private:
  // Rows before the patches, the same for all images.
  struct Prefix {
    std::vector<float> values;  // [rows, d]
    std::int64_t width = 0;
    std::int64_t rows() const {
      return width > 0 ? static_cast<std::int64_t>(values.size()) / width : 0;
    }
  };
  void read_prefix();
  void fit_positions();
  void add_positions(FloatMatrix hidden, SiteVisitor& sites, Workspace& workspace,
                     Threads& threads) const;

  Model model_;
  std::int64_t height_ = 0, width_ = 0;
  PatchGrid grid_;
  ops::PackedMatrix projection_;
  std::vector<float> bias_;
  Prefix prefix_;
  std::vector<float> positions_;  // [rows(), d], or empty: the model has none here
  NormWeights stem_norm_;
};

}  // namespace massact
