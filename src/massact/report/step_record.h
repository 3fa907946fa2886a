// report-steps.json: what the results in a directory of `massact report` were made with, so that it
// takes no others for those it would make now.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "massact/report/result_dir.h"

namespace massact {

inline constexpr std::string_view kReportStepsSchema = "massact.report-steps";
inline constexpr int kReportStepsSchemaVersion = 1;

/// Flags that decide a result's numbers, with their values in words: {"--seq-len", "64"}. An empty
/// value is a flag that was not given.
using Settings = std::vector<std::pair<std::string, std::string>>;

class StepRecord {
 public:
  /// Reads the record in `directory`. One that is not there, not readable, of another schema
  /// version or of a model with another hash is empty.
  StepRecord(std::filesystem::path directory, std::string model_path, std::string model_hash);

  /// Why `file`, which is there, is not what these settings give, in words that follow "got
  /// scan.json": "with --seq-len 64 in place of 32". Empty: it is.
  std::string difference(const std::string& file, const Settings& settings) const;

  /// Takes down that `file` is made with these settings.
  void add(const ResultFile& file, const Settings& settings);

  /// docs/schema/report-steps.schema.json.
  ResultFile file() const;

 private:
  struct Entry {
    std::string hash;  ///< of the file's content
    std::map<std::string, std::string> settings;
  };

  void read();

  std::filesystem::path directory_;
  std::string model_path_;
  std::string model_hash_;
  std::map<std::string, Entry> entries_;  // by file
};

}  // namespace massact
