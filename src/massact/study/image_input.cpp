#include "massact/study/image_input.h"

namespace massact {

Preprocess preprocess_of(const Model& model) {
  const auto& path = model.path();
  if (std::filesystem::is_directory(path)) return read_preprocess(path);
  const auto folder = path.has_parent_path() ? path.parent_path() : ".";
  if (const auto found = find_preprocess(folder)) return *found;
  const ModelConfig& config = model.config();
  const bool configured = std::filesystem::exists(folder / "config.json");
  if (!configured && config.family == "clip") return clip_preprocess(config.vision.image_height);
  // Of timm's architectures only Meta's files come without a configuration.
  if (!configured && config.family == "timm") return dinov2_preprocess();
  return read_preprocess(folder);
}

}  // namespace massact
