#include "massact/report/picture_json.h"

#include <fmt/format.h>

#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "massact/image/encode.h"
#include "massact/io/json_text.h"
#include "massact/report/origin.h"
#include "massact/report/scan_json.h"
#include "massact/report/version.h"

namespace massact {
namespace {

using Json = nlohmann::ordered_json;

std::string base64(std::string_view bytes) {
  static constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::string_view group = bytes.substr(i, 3);
    std::uint32_t bits = 0;
    for (std::size_t b = 0; b < 3; ++b) {
      bits = bits << 8 | (b < group.size() ? static_cast<unsigned char>(group[b]) : 0u);
    }
    for (std::size_t d = 0; d < 4; ++d) {
      text += d <= group.size() ? kDigits[bits >> (18 - 6 * d) & 63] : '=';
    }
  }
  return text;
}

Json numbers(const std::vector<float>& values) {
  Json list = Json::array();
  for (const float value : values) {
    list.push_back(std::strtod(fmt::format("{:.4g}", value).c_str(), nullptr));
  }
  return list;
}

Json picture_json(const Picture& picture) {
  Json layers = Json::array();
  for (const PictureLayer& layer : picture.layers) {
    layers.push_back({{"layer", layer.layer},
                      {"norms", numbers(layer.norms)},
                      {"attention", layer.attention.empty() ? Json() : numbers(layer.attention)}});
  }
  return {{"file", picture.file},
          {"width", picture.image.width},
          {"height", picture.image.height},
          {"image", "data:image/png;base64," + base64(encode_png(picture.image))},
          {"layers", std::move(layers)}};
}

}  // namespace

std::string pictures_json_text(const PictureMaps& maps, std::string_view model_hash) {
  Json pictures = Json::array();
  for (const Picture& picture : maps.pictures) pictures.push_back(picture_json(picture));
  const Json json = {{"schema", kPicturesSchema},
                     {"schema_version", kPicturesSchemaVersion},
                     {"massact_version", version()},
                     {"model", model_json(maps.facts, model_hash)},
                     {"grid", {{"rows", maps.grid.rows}, {"columns", maps.grid.columns}}},
                     {"class_tokens", maps.class_tokens},
                     {"registers", maps.registers},
                     {"attention_of", maps.of_class_token ? "class token" : "all tokens"},
                     {"pictures", std::move(pictures)}};
  return json_file_text(json, -1);
}

}  // namespace massact
