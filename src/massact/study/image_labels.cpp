#include "massact/study/image_labels.h"

#include <fmt/format.h>

namespace massact {

ImageLabels::ImageLabels(const ModelConfig& config, const PixelSource& images)
    : grid_(config.vision.grid_of(images.height(), images.width())),
      prefix_rows_(config.prefix_rows()),
      class_tokens_(config.vision.class_tokens),
      first_patch_(prefix_rows_ + config.vision.leading_tokens()) {}

std::string_view ImageLabels::position_class(std::int64_t, std::int64_t position) const {
  if (position < prefix_rows_) return "sink";
  if (position < first_register()) return "cls";
  if (position < first_patch_) return "register";
  return position < rows() ? "patch" : "added";
}

std::int32_t ImageLabels::token_id(std::int64_t, std::int64_t) const { return -1; }

std::string ImageLabels::token_text(std::int64_t, std::int64_t position) const {
  if (position < prefix_rows_) return "<sink>";
  if (position < first_register()) return position == prefix_rows_ ? "cls" : "distillation";
  if (const auto patch = patch_of(position)) {
    return fmt::format("patch {},{}", patch->row, patch->column);
  }
  if (position >= rows()) return fmt::format("added {}", position - rows());
  return fmt::format("register {}", position - first_register());
}

std::string ImageLabels::text_before(std::int64_t, std::int64_t) const { return ""; }

std::string ImageLabels::text_after(std::int64_t, std::int64_t) const { return ""; }

std::optional<PatchPlace> ImageLabels::patch_of(std::int64_t position) const {
  if (position < first_patch_ || position >= rows()) return std::nullopt;
  const std::int64_t patch = position - first_patch_;
  return PatchPlace{patch / grid_.columns, patch % grid_.columns};
}

}  // namespace massact
