#include "massact/report/figures.h"

#include <fmt/format.h>

#include "massact/base/error.h"
#include "massact/io/atomic_file.h"
#include "massact/report/gnuplot.h"

namespace massact {
namespace {

namespace fs = std::filesystem;

constexpr double kScreenWidth = 900;
constexpr double kPaperWidth = 16;  // cm

// The same commands for each kind of file.
std::string script_of(const Figure& figure) {
  const std::string screen = fmt::format("{},{:.0f}", kScreenWidth, kScreenWidth * figure.aspect);
  const std::string paper = fmt::format("{}cm,{:.2f}cm", kPaperWidth, kPaperWidth * figure.aspect);
  const std::string terminals[][2] = {
      {"svg",
       fmt::format("svg size {} dynamic noenhanced font 'sans,14' background '#ffffff'", screen)},
      {"png", fmt::format("pngcairo size {} noenhanced font 'sans,12'", screen)},
      {"pdf", fmt::format("pdfcairo size {} noenhanced font 'sans,10'", paper)}};
  std::string script;
  for (const auto& [ending, terminal] : terminals) {
    script += fmt::format(
        "reset\nset encoding utf8\nset datafile separator tab\n"
        "set terminal {}\nset output '../{}.{}'\n{}unset output\n",
        terminal, figure.name, ending, figure.script);
  }
  return script;
}

}  // namespace

DrawnFigures draw_figures(const FigureSet& set, const fs::path& directory) {
  const fs::path data = directory / "data";
  std::error_code error;
  fs::create_directories(data, error);
  require(!error, data.string(), "expected to create this directory, got: {}", error.message());
  const bool can_draw = has_gnuplot();
  DrawnFigures result;
  result.left_out = set.left_out;
  for (const Figure& figure : set.figures) {
    write_file_atomically(data / (figure.name + ".tsv"), figure.table);
    write_file_atomically(data / (figure.name + ".gp"), script_of(figure));
    if (!can_draw) {
      result.left_out.push_back(figure.name + ": gnuplot is not installed");
      continue;
    }
    try {
      run_gnuplot(data, figure.name + ".gp");
      result.drawn.push_back(figure.name);
    } catch (const Error& problem) {
      result.left_out.push_back(fmt::format("{}: {}", figure.name, problem.what()));
    }
  }
  return result;
}

}  // namespace massact
