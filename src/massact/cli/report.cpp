// `massact report`: everything that is known about some models as one page and as figures.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <set>

#include "massact/base/error.h"
#include "massact/cli/ablate.h"
#include "massact/cli/commands.h"
#include "massact/cli/explain.h"
#include "massact/cli/scan.h"
#include "massact/cli/terminal.h"
#include "massact/io/atomic_file.h"
#include "massact/report/ablate_report.h"
#include "massact/report/explain_report.h"
#include "massact/report/figures.h"
#include "massact/report/model_hash.h"
#include "massact/report/page.h"
#include "massact/report/picture_json.h"
#include "massact/report/report_json.h"
#include "massact/report/result_dir.h"
#include "massact/report/scan_files.h"
#include "massact/report/scan_json.h"

namespace massact {
namespace {

namespace fs = std::filesystem;

constexpr const char* kExamples = R"(
Examples:
  massact report models/mini-llama
  massact report models/mini-llama models/mini-llama-eab --out comparison
  massact report Llama-2-7b --text book.txt --sequences 100 --seq-len 4096
  massact report dinov2-base --images photos/
  massact report results                        # what scan, ablate … wrote there)";

constexpr std::int64_t kQuickSequences = 8;
constexpr std::int64_t kQuickSeqLen = 256;
constexpr std::int64_t kQuickImages = 8;
constexpr std::int64_t kMaxMapLength = 1024;
constexpr std::int64_t kPictures = 4;

struct ReportFlags {
  std::vector<std::string> paths;
  TextFlags text;
  ImageFlags images;
  RunFlags run;
  OutputFlags output;
  std::string rule = "strict";
  std::string tokenizer;
  bool quick = false;
};

void remark(const ReportFlags& flags, const std::string& text) {
  if (!flags.output.quiet) fmt::print(stderr, "{}\n", text);
}

// Something that `report` runs if its result is not there.
struct Step {
  const char* name;
  const char* file;
  std::function<std::vector<ResultFile>()> run;
};

// What the commands would be told for this model.
TextFlags text_of(const ReportFlags& flags, const Model& model) {
  TextFlags text = flags.text;
  if (!flags.quick) return text;
  text.sequences = std::min(text.sequences, kQuickSequences);
  text.seq_len = std::min(text.effective_seq_len(model.config()), kQuickSeqLen);
  return text;
}

ImageFlags images_of(const ReportFlags& flags) {
  ImageFlags images = flags.images;
  const bool more = images.max_images == 0 || images.max_images > kQuickImages;
  if (flags.quick && more) images.max_images = kQuickImages;
  return images;
}

std::vector<ResultFile> run_scan_step(const Model& model, const ReportFlags& flags,
                                      const std::string& hash, Progress& progress) {
  ScanFlags scan_flags;
  scan_flags.text = text_of(flags, model);
  scan_flags.images = images_of(flags);
  scan_flags.run = flags.run;
  scan_flags.rule = flags.rule;
  const ScanResult result = scan(model, scan_flags, progress);
  return scan_files(result, scan_json_text(result, hash), hash);
}

std::vector<ResultFile> run_ablate_step(const Model& model, const ReportFlags& flags,
                                        const std::string& hash, bool bos, Progress& progress) {
  AblateFlags ablate_flags;
  ablate_flags.measures.text = text_of(flags, model);
  ablate_flags.images = images_of(flags);
  ablate_flags.model.tokenizer = flags.tokenizer;
  // The scan's findings are those of its BOS policy: the ablation has to see the same start token.
  if (flags.text.bos == "auto" && bos) ablate_flags.measures.text.bos = "yes";
  ablate_flags.run = flags.run;
  ablate_flags.rule = flags.rule;
  const AblateResult result = ablate(model, ablate_flags, progress);
  return ablate_files(result, ablate_json_text(result, hash));
}

// Runs the steps whose files are not there yet. One that fails costs its part of the report only.
void run_steps(const std::vector<Step>& steps, const ResultDir& directory, const ReportFlags& flags,
               std::vector<MissingPart>& failed) {
  for (const Step& step : steps) {
    if (!flags.output.force && fs::exists(directory.path() / step.file)) {
      remark(flags, fmt::format("{}: {} is there (--force measures again)",
                                directory.path().string(), step.file));
      continue;
    }
    try {
      directory.write(step.run());
    } catch (const Interrupted&) {
      throw;
    } catch (const UsageError&) {
      throw;
    } catch (const Error& problem) {
      fmt::print(stderr, "massact: no {}: {}\n", step.name, problem.what());
      failed.push_back({step.name, problem.what(), ""});
    }
  }
}

// What the scan says that the later steps need.
struct Scanned {
  bool bos = false;
  int first_layer = 1;  ///< where the strongest finding appears
};

Scanned scanned(const fs::path& directory) {
  const nlohmann::json scan = read_results(directory).scan;
  Scanned facts;
  if (scan.is_null()) return facts;
  facts.bos = scan.at("run").at("bos").get<bool>();
  for (const char* set : {"findings", "automatic", "candidates"}) {
    if (scan.at(set).is_null() || scan.at(set).at("findings").empty()) continue;
    facts.first_layer = scan.at(set).at("findings").front().at("first_layer").get<int>();
  }
  return facts;
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

std::vector<ResultFile> run_explain_step(const Model& model, const ReportFlags& flags,
                                         const std::string& hash, const Scanned& facts,
                                         Progress& progress) {
  ExplainFlags explain_flags;
  explain_flags.text = text_of(flags, model);
  explain_flags.images = images_of(flags);
  explain_flags.run = flags.run;
  explain_flags.rule = flags.rule;
  // A map has T x T numbers, twice: too much for a long sequence.
  if (explain_flags.text.effective_seq_len(model.config()) <= kMaxMapLength) {
    explain_flags.maps = map_requests(model, facts.first_layer);
  }
  const ExplainResult result = explain(model, explain_flags, progress);
  return explain_files(result, explain_json_text(result, hash, true));
}

std::vector<ResultFile> run_pictures_step(const Model& model, const ReportFlags& flags,
                                          const std::string& hash, Progress& progress) {
  ImageFlags first = flags.images;
  first.max_images = first.max_images > 0 ? std::min(first.max_images, kPictures) : kPictures;
  const PictureMaps maps =
      map_pictures(model, first.read(model, flags.run.threads), flags.run.options(), progress);
  return {{"pictures.json", pictures_json_text(maps, hash)}};
}

ModelResults measure(const std::string& path, const fs::path& directory, const ReportFlags& flags) {
  const Model model = ModelFlags{path, flags.tokenizer, {}}.open();
  const std::string hash = hash_of(model);
  const ResultDir results_dir(directory, hash, flags.output.force);
  const std::unique_ptr<Progress> progress = flags.output.progress();
  std::vector<Step> steps = {
      {"scan", "scan.json", [&] { return run_scan_step(model, flags, hash, *progress); }},
      {"ablate", "ablate.json",
       [&] { return run_ablate_step(model, flags, hash, scanned(directory).bos, *progress); }},
      {"explain", "explain.json",
       [&] { return run_explain_step(model, flags, hash, scanned(directory), *progress); }}};
  if (reads_images(model, flags.text, flags.images)) {
    steps.push_back({"pictures", "pictures.json",
                     [&] { return run_pictures_step(model, flags, hash, *progress); }});
  }
  std::vector<MissingPart> failed;
  run_steps(steps, results_dir, flags, failed);
  ModelResults results = read_results(directory);
  results.missing.insert(results.missing.end(), failed.begin(), failed.end());
  read_training(path, results);
  return results;
}

// Names first, results afterwards: where a model's results go depends on what else is reported on.
std::vector<ModelResults> gather(const ReportFlags& flags, const fs::path& out) {
  std::vector<ModelResults> models;
  for (const std::string& path : flags.paths) {
    ModelResults& model = models.emplace_back();
    model.source = path;
    model.label = fs::absolute(path).lexically_normal().filename().string();
    if (model.label.empty()) {
      model.label = fs::absolute(path).lexically_normal().parent_path().filename().string();
    }
  }
  tell_apart(models);
  for (ModelResults& model : models) {
    const std::string path = model.source;
    ModelResults results =
        is_result_dir(path) ? read_results(path) : measure(path, out / model.slug, flags);
    results.label = model.label;
    results.slug = model.slug;
    results.source = is_result_dir(path) ? path : (out / model.slug).string();
    model = std::move(results);
  }
  return models;
}

void write_page(const std::vector<ModelResults>& models, std::vector<std::string> notes,
                const fs::path& out) {
  write_file_atomically(out / "report.html", page_html(report_json(models, std::move(notes))));
}

std::vector<std::string> figure_notes(const DrawnFigures& figures, const fs::path& directory) {
  if (figures.left_out.empty()) return {};
  std::string list;
  for (const std::string& one : figures.left_out) list += (list.empty() ? "" : "; ") + one;
  return {
      fmt::format("Static figures that were left out: {}. Their tables and gnuplot scripts are "
                  "in {}; with gnuplot (apt-get install gnuplot-nox) running report again "
                  "draws them.",
                  list, (directory / "data").string())};
}

void run_command(const ReportFlags& flags) {
  Rule::parse(flags.rule);
  const fs::path out = flags.output.out;
  const ResultDir directory(out, "", true);  // it can be written to
  const std::vector<ModelResults> models = gather(flags, out);
  for (const ModelResults& model : models) {
    for (const MissingPart& gap : model.missing) {
      remark(flags, fmt::format("{}: without {} ({})", model.label, gap.part, gap.why));
    }
  }
  directory.write({});  // creates it
  const DrawnFigures figures = draw_figures(make_figures(models), out / "figures");
  const std::vector<std::string> notes = figure_notes(figures, out / "figures");
  for (const std::string& note : notes) remark(flags, note);
  require(has_page() || !figures.drawn.empty(), "report",
          "expected a page or figures to write, got neither: this program was built without Node "
          "and gnuplot is not installed (the tables are in {})",
          (out / "figures" / "data").string());
  if (has_page()) {
    write_page(models, notes, out);
    print(fmt::format("Report: {}\n", (out / "report.html").string()));
  } else {
    remark(flags, "No page: this program was built without Node (docs/report.md)");
  }
  if (!figures.drawn.empty()) {
    print(fmt::format("Figures: {} as svg, png and pdf in {}\n", figures.drawn.size(),
                      (out / "figures").string()));
  }
}

}  // namespace

void add_report(CLI::App& app, Action& action) {
  CLI::App* command =
      app.add_subcommand("report", "Everything about some models as one HTML page and as figures");
  auto flags = std::make_shared<ReportFlags>();
  command
      ->add_option("PATH", flags->paths,
                   "Models (what is missing is measured) or directories with results")
      ->required();
  command->add_option("--tokenizer", flags->tokenizer,
                      "A tokenizer file or directory (default: beside the model)");
  flags->text.declare(*command);
  flags->images.declare(*command);
  flags->images.declare_classifier(*command);
  command
      ->add_option("--rule", flags->rule,
                   "strict: |h| > 100 and >= 1000 x median; auto: a gap in the tail; or ABS,RATIO")
      ->capture_default_str();
  command->add_flag("--quick", flags->quick,
                    fmt::format("At most {} sequences of {} tokens, or {} images", kQuickSequences,
                                kQuickSeqLen, kQuickImages));
  flags->run.declare(*command);
  flags->output.out = "massact-report";
  command->add_option("--out", flags->output.out, "The directory of the report")
      ->capture_default_str();
  command->add_flag("--force", flags->output.force,
                    "Measure again what is there, also another model's");
  flags->output.declare_quiet(*command);
  command->footer(kExamples);
  command->callback([flags, &action] { action = [flags] { run_command(*flags); }; });
}

}  // namespace massact
