#include "massact/report/figures.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>

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
  // Whoever draws with it names the files; by hand they get their own names.
  std::string script = "if (!exists('ending')) ending = ''\n";
  for (const auto& [ending, terminal] : terminals) {
    script += fmt::format(
        "reset\nset encoding utf8\nset datafile separator tab\n"
        "set terminal {}\nset output '../{}.{}'.ending\n{}unset output\n",
        terminal, figure.name, ending, figure.script);
  }
  return script;
}

// The last bytes of a file, at most `count`.
std::string tail_of(const fs::path& file, std::streamoff count) {
  std::ifstream in(file, std::ios::binary | std::ios::ate);
  if (!in) return "";
  const std::streamoff size = in.tellg();
  in.seekg(std::max<std::streamoff>(0, size - count));
  return {std::istreambuf_iterator<char>(in), {}};
}

struct FileKind {
  const char* ending;
  const char* trailer;  // what a whole file has at its end
};
constexpr FileKind kKinds[] = {{"svg", "</svg>"}, {"png", "IEND"}, {"pdf", "%%EOF"}};
constexpr std::streamoff kTrailerBytes = 32;

// Draws under other names first: on a full disk gnuplot leaves parts of files and says nothing.
void draw(const std::string& name, const fs::path& directory) {
  const std::string mark = fmt::format(".{}.tmp", ::getpid());
  const auto temporary = [&](const FileKind& kind) {
    return directory / fmt::format("{}.{}{}", name, kind.ending, mark);
  };
  std::error_code error;
  try {
    run_gnuplot(directory / "data", fmt::format("ending = {}", gnuplot_string(mark)), name + ".gp");
    for (const FileKind& kind : kKinds) {
      const bool whole =
          tail_of(temporary(kind), kTrailerBytes).find(kind.trailer) != std::string::npos;
      require(whole, (directory / fmt::format("{}.{}", name, kind.ending)).string(),
              "expected gnuplot to write all of it, got a part (is the disk full?)");
    }
    for (const FileKind& kind : kKinds) {
      const fs::path target = directory / fmt::format("{}.{}", name, kind.ending);
      fs::rename(temporary(kind), target, error);
      require(!error, target.string(), "expected to write this figure, got: {}", error.message());
    }
  } catch (...) {
    for (const FileKind& kind : kKinds) fs::remove(temporary(kind), error);
    throw;
  }
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
    try {
      write_file_atomically(data / (figure.name + ".tsv"), figure.table);
      write_file_atomically(data / (figure.name + ".gp"), script_of(figure));
      if (can_draw) draw(figure.name, directory);
      auto& list = can_draw ? result.drawn : result.left_out;
      list.push_back(figure.name + (can_draw ? "" : ": gnuplot is not installed"));
    } catch (const Error& problem) {
      result.failed.push_back(fmt::format("{}: {}", figure.name, problem.what()));
    }
  }
  return result;
}

}  // namespace massact
