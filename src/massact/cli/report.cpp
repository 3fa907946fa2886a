// `massact report`: everything that is known about some models as one page and as figures.
#include "massact/cli/report.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <memory>

#include "massact/base/error.h"
#include "massact/cli/commands.h"
#include "massact/cli/report_measure.h"
#include "massact/cli/terminal.h"
#include "massact/io/atomic_file.h"
#include "massact/report/figures.h"
#include "massact/report/page.h"
#include "massact/report/report_json.h"
#include "massact/report/result_dir.h"
#include "massact/report/result_files.h"
#include "massact/run/finding.h"

namespace massact {
namespace {

namespace fs = std::filesystem;

constexpr const char* kExamples = R"(
Examples:
  massact report models/mini-llama
  massact report models/mini-llama models/mini-llama-eab --out comparison
  massact report Llama-2-7b --text book.txt --sequences 100 --seq-len 4096
  massact report dinov2-base --images photos/
  massact report results                        # what scan, ablate and others wrote)";

// Names first, results afterwards: where a model's results go depends on what else is reported on.
std::vector<ModelResults> named(const std::vector<std::string>& paths) {
  std::vector<ModelResults> models;
  for (const std::string& path : paths) {
    ModelResults& model = models.emplace_back();
    model.source = path;
    model.label = fs::absolute(path).lexically_normal().filename().string();
    if (model.label.empty()) {
      model.label = fs::absolute(path).lexically_normal().parent_path().filename().string();
    }
  }
  tell_apart(models);
  return models;
}

// All that can be wrong with a path shows before the hours of the first measurement.
std::vector<ModelResults> gather(const ReportFlags& flags, const fs::path& out) {
  std::vector<ModelResults> models = named(flags.paths);
  std::vector<std::unique_ptr<Measurement>> measurements(models.size());
  const auto take = [](ModelResults& model, ModelResults results, std::string source) {
    results.label = model.label;
    results.slug = model.slug;
    results.source = std::move(source);
    model = std::move(results);
  };
  for (std::size_t i = 0; i < models.size(); ++i) {
    const std::string path = models[i].source;
    if (is_result_dir(path)) {
      take(models[i], read_results(path), path);
    } else {
      measurements[i] = std::make_unique<Measurement>(path, out / models[i].slug, flags);
    }
  }
  for (std::size_t i = 0; i < models.size(); ++i) {
    if (!measurements[i]) continue;
    take(models[i], measurements[i]->run(), (out / models[i].slug).string());
    measurements[i].reset();
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

void say_what_is_missing(const ReportFlags& flags, const std::vector<ModelResults>& models) {
  for (const ModelResults& model : models) {
    for (const MissingPart& gap : model.missing) {
      if (!gap.failed_step.empty()) continue;  // said at the end
      remark(flags, fmt::format("{}: without {} ({})", model.label, gap.part, gap.why));
    }
  }
}

// Last of all, so that nobody has to scroll for it, and also with --quiet: throws if a step or a
// figure failed.
void require_no_failure(const std::vector<ModelResults>& models, std::size_t failed_figures) {
  std::size_t failed = failed_figures;
  for (const ModelResults& model : models) {
    for (const MissingPart& gap : model.missing) {
      if (gap.failed_step.empty()) continue;
      ++failed;
      fmt::print(stderr, "massact: [{}] {} failed: {}\n", model.label, gap.failed_step, gap.why);
    }
  }
  require(failed == 0, "report",
          "expected every {} to work, got {} that failed (the same command runs again what failed, "
          "and only that)",
          failed_figures == 0 ? "step" : "step and figure", failed);
}

// Returns how many figures failed. They are named before the page is written, which may fail too.
std::size_t write_report(const std::vector<ModelResults>& models, const ReportFlags& flags,
                         const fs::path& out) {
  const DrawnFigures figures = draw_figures(make_figures(models), out / "figures");
  std::vector<std::string> notes = figure_notes(figures, out / "figures");
  for (const std::string& note : notes) remark(flags, note);
  for (const std::string& figure : figures.failed) {
    fmt::print(stderr, "massact: [figures] {}\n", figure);
    notes.push_back("A static figure failed: " + figure);
  }
  require(has_page() || !figures.drawn.empty() || !figures.failed.empty(), "report",
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
  return figures.failed.size();
}

void run_command(const ReportFlags& flags) {
  Rule::parse(flags.rule);
  const fs::path out = flags.output.out;
  const ResultDir directory(out, "", true);  // it can be written to
  const std::vector<ModelResults> models = gather(flags, out);
  say_what_is_missing(flags, models);
  const auto empty = [](const ModelResults& model) { return model.empty(); };
  std::size_t failed_figures = 0;
  if (!std::all_of(models.begin(), models.end(), empty)) {
    directory.write({});  // creates it
    failed_figures = write_report(models, flags, out);
  }
  require_no_failure(models, failed_figures);
}

}  // namespace

void remark(const ReportFlags& flags, const std::string& text) {
  if (!flags.output.quiet) fmt::print(stderr, "{}\n", text);
}

TextFlags text_of(const ReportFlags& flags, const Model& model) {
  TextFlags text = flags.text;
  // The text that ships with the program has to be long enough for the ablation's halves.
  if (text.text.empty() && text.tokens.empty() && text.seq_len == 0) {
    text.seq_len = std::min(text.effective_seq_len(model.config()), kBuiltInSeqLen);
  }
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
  // Every step reads the text anew, which standard input does not allow.
  command->get_option("--text")->description(
      "Text files (default: a text that ships with the program)");
  flags->images.declare(*command);
  flags->images.declare_classifier(*command);
  declare_rule(*command, flags->rule);
  command->add_flag(
      "--quick", flags->quick,
      fmt::format("At most {} sequences of {} tokens, or {} images without test-time registers",
                  kQuickSequences, kQuickSeqLen, kQuickImages));
  flags->run.declare(*command);
  flags->output.out = "massact-report";
  command->add_option("--out", flags->output.out, "The directory of the report")
      ->capture_default_str();
  command->add_flag("--force", flags->output.force,
                    "Measure again what is there, also with other flags or from another model");
  flags->output.declare_quiet(*command);
  command->footer(kExamples);
  command->callback([flags, &action] { action = [flags] { run_command(*flags); }; });
}

}  // namespace massact
