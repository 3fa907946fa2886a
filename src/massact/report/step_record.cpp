#include "massact/report/step_record.h"

#include "massact/base/error.h"
#include "massact/io/json.h"
#include "massact/io/json_text.h"
#include "massact/report/fnv_hash.h"
#include "massact/report/version.h"

namespace massact {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFile = "report-steps.json";
constexpr std::uint64_t kMaxRecordBytes = 16 << 20;

std::string hash_of_text(std::string_view text) {
  FnvHash hash;
  hash.add(text);
  return hash.digits();
}

std::string in_words(const std::string& flag, const std::string& value) {
  return value.empty() ? "no " + flag : flag + " " + value;
}

}  // namespace

StepRecord::StepRecord(fs::path directory, std::string model_path, std::string model_hash)
    : directory_(std::move(directory)),
      model_path_(std::move(model_path)),
      model_hash_(std::move(model_hash)) {
  if (!fs::exists(directory_ / kFile)) return;
  try {
    read();
  } catch (const Error&) {
    entries_.clear();
  }
}

void StepRecord::read() {
  const JsonObject record = JsonObject::from_file(directory_ / kFile, kMaxRecordBytes);
  if (record.get<std::string>("schema") != kReportStepsSchema) return;
  if (record.get<int>("schema_version") != kReportStepsSchemaVersion) return;
  if (record.object("model").get<std::string>("hash") != model_hash_) return;
  const JsonObject files = record.object("files");
  for (const std::string& name : files.keys()) {
    const JsonObject file = files.object(name);
    Entry entry{file.get<std::string>("hash"), {}};
    const JsonObject settings = file.object("settings");
    for (const std::string& flag : settings.keys()) {
      entry.settings[flag] = settings.get<std::string>(flag);
    }
    entries_[name] = std::move(entry);
  }
}

std::string StepRecord::difference(const std::string& file, const Settings& settings) const {
  const auto found = entries_.find(file);
  if (found == entries_.end() ||
      found->second.hash != hash_of_text(read_text_file(directory_ / file, kMaxResultBytes))) {
    return "that report did not make, or not as it is now";
  }
  std::map<std::string, std::string> before = found->second.settings;
  std::string list;
  const auto add = [&](const std::string& flag, const std::string& old, const std::string& now) {
    if (old == now) return;
    list += fmt::format("{}{} in place of {}", list.empty() ? "with " : ", ", in_words(flag, old),
                        now.empty() ? "none" : now);
  };
  for (const auto& [flag, value] : settings) {
    add(flag, before[flag], value);
    before.erase(flag);
  }
  for (const auto& [flag, value] : before) add(flag, value, "");
  return list;
}

void StepRecord::add(const ResultFile& file, const Settings& settings) {
  entries_[file.name] = {hash_of_text(file.text), {settings.begin(), settings.end()}};
}

ResultFile StepRecord::file() const {
  nlohmann::ordered_json files = nlohmann::ordered_json::object();
  for (const auto& [name, entry] : entries_) {
    files[name] = {{"hash", entry.hash}, {"settings", entry.settings}};
  }
  const nlohmann::ordered_json record = {{"schema", kReportStepsSchema},
                                         {"schema_version", kReportStepsSchemaVersion},
                                         {"massact_version", version()},
                                         {"model", {{"path", model_path_}, {"hash", model_hash_}}},
                                         {"files", std::move(files)}};
  return {kFile, json_file_text(record)};
}

}  // namespace massact
