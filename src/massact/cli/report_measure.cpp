#include "massact/cli/report_measure.h"

#include <fmt/format.h>

#include <algorithm>
#include <new>

#include "massact/base/error.h"
#include "massact/report/model_hash.h"

namespace massact {
namespace {

namespace fs = std::filesystem;

// Flags that this model cannot be measured with.
void check_flags(const Model& model, const ReportFlags& flags) {
  flags.run.options();
  if (!reads_images(model, flags.text, flags.images))
    text_of(flags, model).effective_seq_len(model.config());
}

}  // namespace

Measurement::Measurement(std::string path, fs::path directory, const ReportFlags& flags)
    : path_(std::move(path)),
      flags_(flags),
      model_(ModelFlags{path_, flags.tokenizer, {}}.open()),
      hash_(hash_of(model_)),
      directory_(std::move(directory), hash_, flags.output.force) {
  check_flags(model_, flags_);
}

bool Measurement::is_there(const Step& step) const {
  return std::all_of(step.files.begin(), step.files.end(),
                     [&](const std::string& file) { return fs::exists(directory_.path() / file); });
}

void Measurement::run_step(const Step& step) {
  if (!flags_.output.force && is_there(step)) {
    remark(flags_, fmt::format("{}: {} is there (--force measures again)",
                               directory_.path().string(), step.files.front()));
  } else {
    directory_.write(step.run(facts_));
  }
  if (step.name == "scan") facts_ = read_scanned(directory_.path() / "scan.json");
}

ModelResults Measurement::run() {
  const std::unique_ptr<Progress> progress = flags_.output.progress();
  for (const Step& step : steps_of(model_, hash_, flags_, *progress)) {
    std::string why;
    try {
      run_step(step);
      worked_.insert(worked_.end(), step.files.begin(), step.files.end());
      continue;
    } catch (const Interrupted&) {
      throw;
    } catch (const UsageError&) {
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
