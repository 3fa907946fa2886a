// Measuring one model for a report: what is missing in its directory.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "massact/cli/report.h"
#include "massact/cli/report_steps.h"
#include "massact/report/result_dir.h"
#include "massact/report/result_files.h"
#include "massact/report/step_record.h"

namespace massact {

class Measurement {
 public:
  /// Opens the model and checks flags and directory, so that what is wrong with them shows before
  /// any model is measured. Throws Error for results in it that were not made with the same flags
  /// (unless --force), and Error or UsageError for flags that do not fit. Refers to `flags`.
  Measurement(std::string path, std::filesystem::path directory, const ReportFlags& flags);

  /// Runs the steps whose files are not there yet and reads all results. A step that fails, be it
  /// with a UsageError (other steps and models may take these flags), becomes a MissingPart with
  /// `failed_step`; what an earlier run left of it is not read. Throws Interrupted.
  ModelResults run();

 private:
  void require_same_settings() const;
  bool is_there(const Step& step) const;
  void measure(const Step& step, Progress& progress);
  void run_step(const Step& step, Progress& progress);

  std::string path_;
  const ReportFlags& flags_;
  Model model_;
  std::string hash_;
  ResultDir directory_;
  Settings settings_;
  StepRecord record_;
  std::vector<Step> steps_;
  Scanned facts_;
  std::vector<MissingPart> failed_;
  std::vector<std::string> worked_;  ///< files of the steps that did not fail
};

}  // namespace massact
