// What the rows of images are, for findings: class token, registers, patches by row and column.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "massact/image/pixel_source.h"
#include "massact/model/config.h"
#include "massact/run/finding.h"

namespace massact {

/// Where a patch is, from the top left.
struct PatchPlace {
  std::int64_t row = 0;
  std::int64_t column = 0;
};

/// Labels of the rows of images of one size; the same for every image. Position classes are "cls"
/// (a distillation token as well), "register", "patch" and, of streams that add tokens, "added".
/// Thread-safe.
class ImageLabels final : public PositionLabels {
 public:
  /// `config` is a vision model's, `images` what it reads (not kept).
  ImageLabels(const ModelConfig& config, const PixelSource& images);

  std::string_view position_class(std::int64_t sequence, std::int64_t position) const override;
  /// -1: patches are no tokens of a vocabulary.
  std::int32_t token_id(std::int64_t sequence, std::int64_t position) const override;
  /// "cls", "distillation", "register 2", "patch 3,5" (row, column; counted from 0), "added 0",
  /// "<sink>".
  std::string token_text(std::int64_t sequence, std::int64_t position) const override;
  /// Empty: what is around a patch is in the picture.
  std::string text_before(std::int64_t sequence, std::int64_t position) const override;
  std::string text_after(std::int64_t sequence, std::int64_t position) const override;

  /// Rows of an image, the sink token's included, added tokens not.
  std::int64_t rows() const { return first_patch_ + grid_.count(); }
  /// Row of the first register and of the first patch.
  std::int64_t first_register() const { return prefix_rows_ + class_tokens_; }
  std::int64_t first_patch() const { return first_patch_; }
  PatchGrid grid() const { return grid_; }
  /// The patch of a row, if it is one.
  std::optional<PatchPlace> patch_of(std::int64_t position) const;

 private:
  PatchGrid grid_;
  std::int64_t prefix_rows_ = 0;
  std::int64_t class_tokens_ = 0;
  std::int64_t first_patch_ = 0;
};

}  // namespace massact
