#include "massact/cli/report_steps.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "massact/cli/ablate.h"
#include "massact/cli/explain.h"
#include "massact/cli/image_split.h"
#include "massact/cli/scan.h"
#include "massact/io/json.h"
#include "massact/report/ablate_report.h"
#include "massact/report/explain_report.h"
#include "massact/report/picture_json.h"
#include "massact/report/registers_report.h"
#include "massact/report/scan_files.h"
#include "massact/report/scan_json.h"

namespace massact {
namespace {

namespace fs = std::filesystem;
using Files = std::vector<ResultFile>;

constexpr std::int64_t kMaxMapLength = 1024;
constexpr std::int64_t kPictures = 4;

// Everything that a step is made from.
struct Task {
  Model model;
  std::string hash;
  const ReportFlags& flags;
};

Files run_scan_step(const Task& task, Progress& progress) {
  ScanFlags scan_flags;
  scan_flags.text = text_of(task.flags, task.model);
  scan_flags.images = images_of(task.flags);
  scan_flags.run = task.flags.run;
  scan_flags.rule = task.flags.rule;
  const ScanResult result = scan(task.model, scan_flags, progress);
  return scan_files(result, scan_json_text(result, task.hash), task.hash);
}

Files run_ablate_step(const Task& task, const Scanned& facts, Progress& progress) {
  AblateFlags ablate_flags;
  ablate_flags.measures.text = text_of(task.flags, task.model);
  ablate_flags.images = images_of(task.flags);
  ablate_flags.model.tokenizer = task.flags.tokenizer;
  // The scan's findings are those of its BOS policy: the ablation has to see the same start token.
  if (task.flags.text.bos == "auto" && facts.bos) ablate_flags.measures.text.bos = "yes";
  ablate_flags.run = task.flags.run;
  ablate_flags.rule = task.flags.rule;
  const AblateResult result = ablate(task.model, ablate_flags, progress);
  return ablate_files(result, ablate_json_text(result, task.hash));
}

// Attention before the massive activations are there, where they are first read, and later: the
// layer that writes them does not see them yet.
std::vector<std::string> map_requests(const Model& model, int first_layer) {
  const auto last = static_cast<int>(model.config().layers);
  const std::set<int> layers = {std::clamp(first_layer, 1, last), std::min(first_layer + 1, last),
                                std::min(first_layer + 2, last), last};
  std::vector<std::string> requests;
  for (const int layer : layers) requests.push_back(fmt::format("{},0", std::max(layer, 1)));
  return requests;
}

Files run_explain_step(const Task& task, const Scanned& facts, Progress& progress) {
  ExplainFlags explain_flags;
  explain_flags.text = text_of(task.flags, task.model);
  explain_flags.images = images_of(task.flags);
  explain_flags.run = task.flags.run;
  explain_flags.rule = task.flags.rule;
  // A map has T x T numbers, twice: too much for a long sequence.
  if (explain_flags.text.effective_seq_len(task.model.config()) <= kMaxMapLength) {
    explain_flags.maps = map_requests(task.model, facts.first_layer);
  }
  const ExplainResult result = explain(task.model, explain_flags, progress);
  return explain_files(result, explain_json_text(result, task.hash, true));
}

Files run_pictures_step(const Task& task, Progress& progress) {
  ImageFlags first = task.flags.images;
  first.max_images = first.max_images > 0 ? std::min(first.max_images, kPictures) : kPictures;
  const RunFlags& run = task.flags.run;
  const PictureMaps maps =
      map_pictures(task.model, first.read(task.model, run.threads), run.options(), progress);
  return {{"pictures.json", pictures_json_text(maps, task.hash)}};
}

// Without the means (registers.safetensors): nothing on the page is made from them.
Files run_registers_step(const Task& task, Progress& progress) {
  const ImageFlags images = images_of(task.flags);
  const RunOptions run = task.flags.run.options();
  const ImageSplit split =
      read_image_split(task.model, {images, "", task.flags.tokenizer, run}, progress);
  const RegistersResult result =
      run_registers(task.model, split, {.run = run, .means = {}}, progress);
  return registers_files(result, registers_json_text(result, task.hash));
}

}  // namespace

Scanned read_scanned(const fs::path& scan_json) {
  const nlohmann::json scan =
      parse_json(read_text_file(scan_json, kMaxResultBytes), scan_json.string());
  Scanned facts;
  facts.bos = scan.at("run").at("bos").get<bool>();
  for (const char* set : {"findings", "automatic", "candidates"}) {
    if (scan.at(set).is_null() || scan.at(set).at("findings").empty()) continue;
    facts.first_layer = scan.at(set).at("findings").front().at("first_layer").get<int>();
  }
  return facts;
}

std::vector<Step> steps_of(const Model& model, const std::string& hash, const ReportFlags& flags) {
  const Task task{model, hash, flags};
  const auto alone = [task](Files (*run)(const Task&, Progress&)) {
    return [task, run](const Scanned&, Progress& progress) { return run(task, progress); };
  };
  const auto after_scan = [task](Files (*run)(const Task&, const Scanned&, Progress&)) {
    return [task, run](const Scanned& facts, Progress& progress) {
      return run(task, facts, progress);
    };
  };
  std::vector<Step> steps;
  steps.push_back({.name = "scan",
                   .part = "the scan",
                   .files = {"scan.json", "scan-window.json"},
                   .run = alone(run_scan_step)});
  steps.push_back({.name = "ablate",
                   .part = "the ablation",
                   .files = {"ablate.json"},
                   .run = after_scan(run_ablate_step)});
  steps.push_back({.name = "explain",
                   .part = "the explanation",
                   .files = {"explain.json"},
                   .run = after_scan(run_explain_step)});
  if (!model.config().is_vision()) return steps;
  steps.push_back({.name = "pictures",
                   .part = "the pictures",
                   .files = {"pictures.json"},
                   .run = alone(run_pictures_step)});
  // The few images of --quick leave one or two to choose neurons by.
  if (flags.quick || !takes_test_time_registers(model)) return steps;
  steps.push_back({.name = "registers",
                   .part = "the test-time registers",
                   .files = {"registers.json"},
                   .sometimes = {"registers-neurons.csv", "registers-plan.json"},
                   .run = alone(run_registers_step)});
  return steps;
}

}  // namespace massact
