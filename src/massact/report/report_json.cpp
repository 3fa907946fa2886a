#include "massact/report/report_json.h"

#include <fmt/format.h>

#include "massact/report/origin.h"
#include "massact/report/version.h"

namespace massact {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMaxValues = 1024;

// An even choice of a finding's values; true if any had to go.
bool thin_values(Json& set) {
  bool thinned = false;
  if (set.is_null()) return thinned;
  for (Json& finding : set.at("findings")) {
    Json& values = finding.at("values");
    if (values.size() <= kMaxValues) continue;
    const std::size_t every = (values.size() + kMaxValues - 1) / kMaxValues;
    Json kept = Json::array();
    for (std::size_t i = 0; i < values.size(); i += every) kept.push_back(values[i]);
    values = std::move(kept);
    thinned = true;
  }
  return thinned;
}

Json scan_json(const nlohmann::json& file, const std::string& label,
               std::vector<std::string>& notes) {
  Json scan = file;
  if (scan.is_null()) return scan;
  for (Json& layer : scan.at("layers")) layer.erase("sequences");
  bool thinned = false;
  for (const char* set : {"findings", "automatic", "candidates"}) {
    thinned = thin_values(scan.at(set)) || thinned;
  }
  if (thinned) {
    notes.push_back(
        fmt::format("{}: charts of single values show about {} of each finding; scan.json has all.",
                    label, kMaxValues));
  }
  return scan;
}

Json missing_json(const std::vector<MissingPart>& missing) {
  Json list = Json::array();
  for (const MissingPart& gap : missing) {
    list.push_back(
        {{"part", gap.part}, {"why", gap.why}, {"how", gap.how}, {"failed_step", gap.failed_step}});
  }
  return list;
}

}  // namespace

Json report_json(const std::vector<ModelResults>& models, std::vector<std::string> notes) {
  Json list = Json::array();
  for (const ModelResults& model : models) {
    std::vector<MissingPart> missing = model.missing;
    Json scan;
    try {
      scan = scan_json(model.scan, model.label, notes);
    } catch (const nlohmann::json::exception& problem) {
      missing.push_back({"the scan",
                         fmt::format("scan.json is not as its schema says: {}", problem.what()),
                         "`massact scan` writes it anew."});
    }
    list.push_back({{"label", model.label},
                    {"source", model.source},
                    {"scan", std::move(scan)},
                    {"window", model.window},
                    {"ablate", model.ablate},
                    {"explain", model.explain},
                    {"maps", model.maps},
                    {"pictures", model.pictures},
                    {"registers", model.registers},
                    {"training", model.training},
                    {"missing", missing_json(missing)}});
  }
  return {{"schema", "massact.report"}, {"schema_version", 1},       {"massact_version", version()},
          {"created", now_utc()},       {"command", command_line()}, {"models", std::move(list)},
          {"notes", std::move(notes)}};
}

}  // namespace massact
