// What `massact report` runs for a model: the commands, each as a step that may fail alone.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "massact/base/progress.h"
#include "massact/cli/report.h"
#include "massact/report/result_dir.h"

namespace massact {

/// What the scan says that later steps need.
struct Scanned {
  bool bos = false;
  int first_layer = 1;  ///< where the strongest finding appears
};

/// From scan.json. Throws Error (or nlohmann's) if it is not as its schema says.
Scanned read_scanned(const std::filesystem::path& scan_json);

struct Step {
  std::string name;                ///< "ablate"
  std::string part;                ///< "the ablation"
  std::vector<std::string> files;  ///< those of its files that a report is made from
  /// Files that it does not always write: those of an earlier run must not pass for its own.
  std::vector<std::string> sometimes = {};
  std::function<std::vector<ResultFile>(const Scanned&, Progress&)> run;
};

/// The steps that apply to this model, scan first. They refer to `flags`.
std::vector<Step> steps_of(const Model& model, const std::string& hash, const ReportFlags& flags);

}  // namespace massact
