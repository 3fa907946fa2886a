#include "massact/report/image_json.h"

namespace massact {

nlohmann::ordered_json images_json(const std::optional<ImageFacts>& images) {
  using Json = nlohmann::ordered_json;
  if (!images) return nullptr;
  Json skipped = Json::array();
  for (const SkippedImage& image : images->skipped) {
    skipped.push_back({{"file", image.path.string()}, {"reason", image.reason}});
  }
  Json json = {{"files", images->files},
               {"height", images->height},
               {"width", images->width},
               {"patch_rows", images->grid.rows},
               {"patch_columns", images->grid.columns},
               {"class_tokens", images->class_tokens},
               {"registers", images->registers},
               {"preprocessing", images->preprocessing},
               {"classes", images->classes},
               {"passed_over", images->passed_over},
               {"skipped", std::move(skipped)}};
  if (!images->classifier.empty()) json["classifier"] = images->classifier;
  return json;
}

}  // namespace massact
