#include "massact/cli/report_measure.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <new>

#include "massact/base/error.h"
#include "massact/cli/report_settings.h"
#include "massact/report/model_hash.h"

namespace massact {

namespace fs = std::filesystem;

Measurement::Measurement(std::string path, fs::path directory, const ReportFlags& flags)
    : path_(std::move(path)),
      flags_(flags),
      model_(ModelFlags{path_, flags.tokenizer, {}}.open()),
      hash_(hash_of(model_)),
      directory_(std::move(directory), hash_, flags.output.force),
      settings_(settings_of(model_, flags)),
      record_(directory_.path(), model_.path().string(), hash_),
      steps_(steps_of(model_, hash_, flags)) {
  if (!flags.output.force) require_same_settings();
}

// All of them at once, those alike together.
void Measurement::require_same_settings() const {
  std::map<std::string, std::string> files;  // by difference
  for (const Step& step : steps_) {
    for (const std::string& file : step.files) {
      if (!fs::exists(directory_.path() / file)) continue;
      const std::string difference = record_.difference(file, settings_);
      if (difference.empty()) continue;
      std::string& alike = files[difference];
      alike += (alike.empty() ? "" : ", ") + file;
    }
  }
  std::string list;
  for (const auto& [difference, alike] : files) {
    list += fmt::format("{}{} {}", list.empty() ? "" : "; ", alike, difference);
  }
  require(files.empty(), directory_.path().string(),
          "expected results made with the same flags, got {} (give those flags, choose another "
          "--out, remove these files, or measure all again with --force)",
          list);
}

bool Measurement::is_there(const Step& step) const {
  return std::all_of(step.files.begin(), step.files.end(),
                     [&](const std::string& file) { return fs::exists(directory_.path() / file); });
}

// The record is renamed first: without its result it matches nothing.
void Measurement::measure(const Step& step, Progress& progress) {
  std::vector<ResultFile> files = step.run(facts_, progress);
  for (const ResultFile& file : files) {
    const auto& read = step.files;
    if (std::find(read.begin(), read.end(), file.name) != read.end()) record_.add(file, settings_);
  }
  files.insert(files.begin(), record_.file());
  directory_.write(files);
  for (const std::string& name : step.sometimes) {
    const auto named = [&](const ResultFile& file) { return file.name == name; };
    if (std::none_of(files.begin(), files.end(), named)) fs::remove(directory_.path() / name);
  }
}

void Measurement::run_step(const Step& step, Progress& progress) {
  if (!flags_.output.force && is_there(step)) {
    remark(flags_, fmt::format("{}: {} is there, made with the same flags (--force measures again)",
                               directory_.path().string(), step.files.front()));
  } else {
    measure(step, progress);
  }
  if (step.name == "scan") facts_ = read_scanned(directory_.path() / "scan.json");
}

ModelResults Measurement::run() {
  const std::unique_ptr<Progress> progress = flags_.output.progress();
  for (const Step& step : steps_) {
    std::string why;
    try {
      run_step(step, *progress);
      worked_.insert(worked_.end(), step.files.begin(), step.files.end());
      continue;
    } catch (const Interrupted&) {
      throw;
    } catch (const std::bad_alloc&) {
      why = "[memory] the system has no more (try a smaller --memory or --seq-len)";
    } catch (const std::exception& problem) {
      why = problem.what();
    }
    remark(flags_,
           fmt::format("{}: {} failed, going on without {}", model_.name(), step.name, step.part));
    failed_.push_back({step.part, why, "", step.name});
  }
  ModelResults results = read_results_of(directory_.path(), worked_);
  results.missing.insert(results.missing.begin(), failed_.begin(), failed_.end());
  read_training(path_, results);
  return results;
}

}  // namespace massact
