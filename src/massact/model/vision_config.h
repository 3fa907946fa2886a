// What a vision transformer has before its first block and behind its last one.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace massact {

/// Patches of an image: `rows` × `columns`, row by row.
struct PatchGrid {
  std::int64_t rows = 0;
  std::int64_t columns = 0;

  std::int64_t count() const { return rows * columns; }
  bool operator==(const PatchGrid&) const = default;
};

/// How learned positions are fitted to images of another size: bicubic, as PyTorch does it without
/// or with antialiasing.
enum class PositionResize : std::uint8_t { bicubic, bicubic_antialias };

/// The stem of a vision transformer. A sequence is the class tokens, the registers, the patches row
/// by row.
struct VisionConfig {
  std::int64_t image_height = 0, image_width = 0;  ///< pixels the positions were learned for
  std::int64_t patch_height = 0, patch_width = 0;  ///< 0: no vision model
  std::int64_t channels = 3;
  std::int64_t class_tokens = 1;  ///< 2: a distillation token as well (DeiT)
  std::int64_t registers = 0;
  /// Tokens before the patches that have learned positions of their own, from the first one on.
  std::int64_t positioned_tokens = 1;
  bool patch_bias = true;
  bool stem_norm = false;  ///< a norm between positions and first block (CLIP)
  PositionResize resize = PositionResize::bicubic;
  bool fixed_size = false;  ///< images of another size are refused (SAM)

  // SAM (arXiv 2304.02643): blocks that see windows of patches, and relative positions.
  std::vector<std::int64_t> windows;  ///< [layers] side of a block's windows, 0: it sees all
                                      ///< patches; empty: no block has windows
  bool relative_positions = false;    ///< of rows and columns, learned, in each block

  bool operator==(const VisionConfig&) const = default;

  /// Patches of an image of this size; what is left over on the right and below is not seen.
  PatchGrid grid_of(std::int64_t height, std::int64_t width) const {
    return {height / patch_height, width / patch_width};
  }
  /// The patches that the learned positions were made for.
  PatchGrid trained_grid() const { return grid_of(image_height, image_width); }
  bool has_windows() const { return !windows.empty(); }
  std::int64_t window_of(std::int64_t block) const {
    return windows.empty() ? 0 : windows[static_cast<std::size_t>(block)];
  }
  /// Tokens before the patches.
  std::int64_t leading_tokens() const { return class_tokens + registers; }
  /// Values of a patch.
  std::int64_t patch_values() const { return channels * patch_height * patch_width; }
};

/// What of a sequence a model's head reads.
enum class Pooling : std::uint8_t {
  every_token,           ///< each token by itself (language models)
  first_token,           ///< the class token
  last_token,            ///< SigLIP's texts
  end_of_text,           ///< the token that ends a text (CLIP)
  patch_mean,            ///< mean of the patches
  class_and_patch_mean,  ///< class token and mean of the patches, one behind the other (DINOv2)
  two_class_tokens,      ///< a head on the class token, one on the distillation token; their mean
  patch_neighbours,      ///< each patch with those around it (SAM's neck)
  attention              ///< a learned query attends to all tokens (SigLIP)
};

/// What a head's output means.
enum class HeadKind : std::uint8_t {
  tokens,     ///< logits over the vocabulary
  classes,    ///< logits over classes
  embedding,  ///< a vector to be compared with others (CLIP)
  features,   ///< a vector for each patch, for what comes behind this model (SAM's mask decoder)
  none        ///< the checkpoint has no head
};

/// The head behind the last norm (pooling.h).
struct HeadConfig {
  Pooling pooling = Pooling::every_token;
  HeadKind kind = HeadKind::tokens;
  std::int64_t outputs = 0;     ///< of classes, embedding and features; tokens: the vocabulary
  bool projects = true;         ///< false: the output is what is read (outputs = d)
  bool bias = true;             ///< of the projection, for classes and embedding
  std::int64_t end_token = -1;  ///< of end_of_text: its id; -1: the largest id in the text

  bool operator==(const HeadConfig&) const = default;
  /// True if there is one row of output per sequence instead of one per token.
  bool pools() const { return reads_all() && pooling != Pooling::patch_neighbours; }
  /// True if it needs all tokens of a sequence at once.
  bool reads_all() const { return pooling != Pooling::every_token; }
};

}  // namespace massact
