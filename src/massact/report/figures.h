// Static figures for papers: SVG, PNG and PDF by gnuplot.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "massact/report/figure_scripts.h"

namespace massact {

struct DrawnFigures {
  std::vector<std::string> drawn;     ///< names, without endings
  std::vector<std::string> left_out;  ///< "NAME: why": what there is nothing to draw with or from
  std::vector<std::string> failed;    ///< "NAME: why": what was drawn and did not become whole
};

/// Writes NAME.tsv and NAME.gp of every figure to `directory`/data and draws NAME.svg, .png and
/// .pdf into `directory`: all three of a figure whole, or none. Without gnuplot all are left out;
/// the scripts draw them later
/// (`cd figures/data && gnuplot NAME.gp`).
DrawnFigures draw_figures(const FigureSet& set, const std::filesystem::path& directory);

}  // namespace massact
