#include "massact/report/scan_window_json.h"

#include <fmt/format.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "massact/io/json_text.h"
#include "massact/report/origin.h"
#include "massact/report/scan_json.h"
#include "massact/report/version.h"

namespace massact {
namespace {

using Json = nlohmann::ordered_json;

// The double whose shortest decimal is also the float's.
double short_decimal(float value) { return std::strtod(fmt::format("{}", value).c_str(), nullptr); }

Json layer_json(const WindowLayer& layer, std::size_t columns) {
  Json rows = Json::array();
  for (std::size_t begin = 0; begin < layer.values.size(); begin += columns) {
    Json row = Json::array();
    for (std::size_t i = begin; i < begin + columns; ++i) {
      row.push_back(short_decimal(layer.values[i]));
    }
    rows.push_back(std::move(row));
  }
  return {{"layer", layer.layer}, {"values", std::move(rows)}};
}

}  // namespace

std::string scan_window_json_text(const ScanResult& result, std::string_view model_hash) {
  const ScanWindow& window = result.window;
  Json dimensions = Json::array();
  for (const WindowDimension& d : window.dimensions) {
    dimensions.push_back({{"dimension", d.dimension}, {"has_finding", d.has_finding}});
  }
  Json layers = Json::array();
  for (const WindowLayer& layer : window.layers) {
    layers.push_back(layer_json(layer, window.dimensions.size()));
  }
  Json texts = Json::array();
  for (const SequenceText& text : window.texts) {
    texts.push_back({{"sequence", text.sequence}, {"tokens", text.tokens}});
  }
  const Json json = {
      {"schema", kScanWindowSchema},        {"schema_version", kScanWindowSchemaVersion},
      {"massact_version", version()},       {"model", model_json(result.facts, model_hash)},
      {"sequence", window.sequence},        {"tokens", window.tokens},
      {"position_classes", window.classes}, {"dimensions", std::move(dimensions)},
      {"layers", std::move(layers)},        {"texts", std::move(texts)}};
  return json_file_text(json, -1);
}

}  // namespace massact
