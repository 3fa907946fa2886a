#include "massact/report/result_files.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <optional>
#include <set>

#include "massact/base/error.h"
#include "massact/io/json.h"
#include "massact/report/ablate_report.h"
#include "massact/report/attention_maps.h"
#include "massact/report/explain_report.h"
#include "massact/report/picture_json.h"
#include "massact/report/registers_report.h"
#include "massact/report/result_dir.h"
#include "massact/report/scan_json.h"
#include "massact/report/scan_window_json.h"

namespace massact {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr std::size_t kMaxTrainingPoints = 400;

// A kind of result file that a report knows.
struct Part {
  std::string_view file;
  std::string_view name;
  std::string_view schema;
  int version;
  std::string_view command;
  Json ModelResults::*place;
  bool of_images = false;  // not missed where it is not
};

constexpr std::array<Part, 6> kParts = {{
    {"scan.json", "the scan", kScanSchema, kScanSchemaVersion, "scan", &ModelResults::scan},
    {"scan-window.json", "the values of single tokens", kScanWindowSchema, kScanWindowSchemaVersion,
     "scan", &ModelResults::window},
    {"ablate.json", "the ablation", kAblateSchema, kAblateSchemaVersion, "ablate",
     &ModelResults::ablate},
    {"explain.json", "the explanation", kExplainSchema, kExplainSchemaVersion, "explain",
     &ModelResults::explain},
    {"pictures.json", "the pictures", kPicturesSchema, kPicturesSchemaVersion, "report",
     &ModelResults::pictures, true},
    {"registers.json", "the registers", kRegistersSchema, kRegistersSchemaVersion, "registers",
     &ModelResults::registers, true},
}};

// Why a file's version cannot be used and what to do, or nothing if it can.
std::optional<MissingPart> version_problem(const Part& part, const JsonObject& file) {
  const auto schema = file.get<std::string>("schema");
  require(schema == part.schema, file.where("schema"), "expected \"{}\", got \"{}\"", part.schema,
          schema);
  const int version = file.get<int>("schema_version");
  if (version == part.version) return {};
  const bool newer = version > part.version;
  return MissingPart{std::string(part.name),
                     fmt::format("{} has schema version {}, this massact reads version {}",
                                 part.file, version, part.version),
                     newer ? fmt::format("A newer massact ({} or later) reads it.",
                                         file.get_or<std::string>("massact_version", "unknown"))
                           : fmt::format("`massact {}` writes it anew.", part.command)};
}

void read_part(const fs::path& directory, const Part& part, ModelResults& results) {
  const fs::path path = directory / part.file;
  if (!fs::exists(path)) {
    if (part.of_images) return;
    results.missing.push_back(
        {std::string(part.name), fmt::format("there is no {} in {}", part.file, directory.string()),
         fmt::format("`massact {} MODEL --out {}` makes it.", part.command, directory.string())});
    return;
  }
  try {
    Json document = parse_json(read_text_file(path, kMaxResultBytes), path.string());
    const JsonObject file(document, path.string());
    file.object("model").get<std::string>("hash");
    if (std::optional<MissingPart> problem = version_problem(part, file)) {
      results.missing.push_back(std::move(*problem));
    } else {
      results.*part.place = std::move(document);
    }
  } catch (const Error& error) {
    results.missing.push_back({std::string(part.name), error.what(),
                               fmt::format("`massact {}` writes it anew.", part.command)});
  }
}

void require_one_model(const fs::path& directory, const ModelResults& results) {
  std::map<std::string, std::string_view> files;  // by hash
  for (const Part& part : kParts) {
    const Json& file = results.*part.place;
    if (!file.is_null()) files.emplace(file["model"]["hash"].get<std::string>(), part.file);
  }
  if (files.size() > 1) {
    fail(directory.string(), "expected results of one model, got {} of model {} and {} of model {}",
         files.begin()->second, files.begin()->first, std::next(files.begin())->second,
         std::next(files.begin())->first);
  }
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

// Characters that every file system and every shell takes.
std::string slug_of(const std::string& label) {
  std::string slug = lower(label);
  for (char& c : slug) {
    const auto byte = static_cast<unsigned char>(c);
    if (!(std::isalnum(byte) != 0 && byte < 0x80) && c != '-' && c != '.' && c != '_') c = '-';
  }
  const std::size_t start = slug.find_first_not_of("-.");
  return start == std::string::npos ? "model" : slug.substr(start);
}

double largest(const Json& layers, const char* key) {
  double most = 0.0;
  for (const Json& layer : layers) most = std::max(most, layer.at(key).get<double>());
  return most;
}

// A record of the log as the report draws it, or null.
Json training_point(const Json& record) {
  const std::string kind = record.at("kind");
  Json point = {{"kind", kind}, {"step", record.at("step").get<std::int64_t>()}};
  if (kind == "monitor") {
    point["ratio"] = largest(record.at("layers"), "ratio");
    point["attention"] = largest(record.at("layers"), "first_token_attention");
    return point;
  }
  if (kind != "train" && kind != "eval") return nullptr;
  point["loss"] = record.at("loss").get<double>();
  return point;
}

// At most so many of a kind, evenly spread, the last one among them.
void thin(std::vector<Json>& points) {
  std::map<std::string, std::size_t> counts;
  for (const Json& point : points) ++counts[point["kind"]];
  std::map<std::string, std::size_t> seen;
  std::erase_if(points, [&](const Json& point) {
    const std::string kind = point["kind"];
    const std::size_t every = (counts[kind] + kMaxTrainingPoints - 1) / kMaxTrainingPoints;
    return (counts[kind] - 1 - seen[kind]++) % every != 0;
  });
}

}  // namespace

bool is_result_dir(const fs::path& path) {
  if (!fs::is_directory(path) || fs::exists(path / "config.json")) return false;
  return std::any_of(kParts.begin(), kParts.end(),
                     [&](const Part& part) { return fs::exists(path / part.file); });
}

ModelResults read_results_of(const fs::path& directory, const std::vector<std::string>& only) {
  ModelResults results;
  results.source = directory.string();
  results.label = fs::absolute(directory).lexically_normal().filename().string();
  if (results.label.empty()) {  // "results/"
    results.label = fs::absolute(directory).lexically_normal().parent_path().filename().string();
  }
  for (const Part& part : kParts) {
    if (std::find(only.begin(), only.end(), part.file) != only.end()) {
      read_part(directory, part, results);
    }
  }
  require_one_model(directory, results);
  if (!results.explain.is_null()) {
    results.maps = attention_maps(results.explain, directory, results.missing);
  }
  read_training(directory, results);
  return results;
}

ModelResults read_results(const fs::path& directory) {
  std::vector<std::string> all;
  for (const Part& part : kParts) all.emplace_back(part.file);
  ModelResults results = read_results_of(directory, all);
  if (!results.empty()) return results;
  std::string reasons;
  for (const MissingPart& gap : results.missing) {
    reasons += (reasons.empty() ? "" : "; ") + gap.why;
  }
  fail(directory.string(), "expected a usable result file, got none: {}", reasons);
}

void read_training(const fs::path& directory, ModelResults& results) {
  const fs::path path = directory / "metrics.jsonl";
  if (!fs::is_regular_file(path)) return;
  results.training.clear();
  try {
    const std::string text = read_text_file(path, kMaxResultBytes);
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.find('\n', at), text.size());
      if (end > at) {
        Json point = training_point(parse_json(text.substr(at, end - at), path.string()));
        if (!point.is_null()) results.training.push_back(std::move(point));
      }
      at = end + 1;
    }
    thin(results.training);
  } catch (const std::exception& problem) {
    results.training.clear();
    results.missing.push_back({"the training curve", problem.what(), ""});
  }
}

void tell_apart(std::vector<ModelResults>& models) {
  std::set<std::string> taken;
  std::map<std::string, int> count;
  for (ModelResults& model : models) {
    ++count[lower(model.label)];
    const std::string plain = slug_of(model.label);
    model.slug = plain;
    for (int n = 2; !taken.insert(model.slug).second; ++n)
      model.slug = fmt::format("{}-{}", plain, n);
  }
  std::map<std::string, int> seen;
  for (ModelResults& model : models) {
    const std::string name = lower(model.label);
    if (count[name] > 1) {
      model.label = fmt::format("{} ({}: {})", model.label, ++seen[name], model.source);
    }
  }
}

}  // namespace massact
