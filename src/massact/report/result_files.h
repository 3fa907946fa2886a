// Reading back what the commands wrote: the result files of one model, for a report.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace massact {

/// A part that a report goes without.
struct MissingPart {
  std::string part;  ///< "the ablation"
  std::string why;   ///< "there is no ablate.json in results"
  std::string how;   ///< what to do about it, a sentence; may be empty
  /// The step of this report that failed to make it ("ablate"); empty: nobody tried.
  std::string failed_step = {};
};

/// The results of one model; what is not there is null or empty.
struct ModelResults {
  std::string label;   ///< what people see
  std::string slug;    ///< the same as a file name, different for every model of a report
  std::string source;  ///< where the results were read
  nlohmann::json scan, window, ablate, explain, pictures, registers;
  std::vector<nlohmann::json> maps;      ///< explain's maps with their numbers (see attention_maps)
  std::vector<nlohmann::json> training;  ///< points of metrics.jsonl, thinned
  std::vector<MissingPart> missing;

  bool empty() const {
    return scan.is_null() && ablate.is_null() && explain.is_null() && pictures.is_null() &&
           registers.is_null();
  }
};

/// True for a directory with a result file in it, and none of a model's (config.json).
bool is_result_dir(const std::filesystem::path& path);

/// Reads what is in `directory`. A part that is not there, cannot be read or has another schema
/// version than this program writes becomes a MissingPart that says so. Throws Error if nothing
/// usable is left, or if the files belong to different models.
ModelResults read_results(const std::filesystem::path& directory);

/// As `read_results`, but only the files named in `only`; none of them may be usable.
ModelResults read_results_of(const std::filesystem::path& directory,
                             const std::vector<std::string>& only);

/// Adds the training log beside a model or its results, if there is one.
void read_training(const std::filesystem::path& directory, ModelResults& results);

/// Gives every model a label and a slug of its own: names that differ only by case, or not at all,
/// get a number and their source beside them.
void tell_apart(std::vector<ModelResults>& models);

}  // namespace massact
