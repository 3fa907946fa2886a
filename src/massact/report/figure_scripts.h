// The figures of a report as tables and gnuplot scripts; figures.h draws them.
#pragma once

#include <string>
#include <vector>

#include "massact/report/result_files.h"

namespace massact {

/// One picture: gnuplot commands that draw `table`, which lies beside the script as NAME.tsv.
struct Figure {
  std::string name;     ///< "mini-llama-layers": also of its files
  std::string title;    ///< for people
  std::string table;    ///< tab-separated, a comment line with the columns' names first
  std::string script;   ///< without terminals and outputs
  double aspect = 0.6;  ///< height / width
};

struct FigureSet {
  std::vector<Figure> figures;
  std::vector<std::string> left_out;  ///< "SOURCE: why": results that are not as docs/schema says
};

/// Every figure that these results have data for: 3-D bars, layer curve, constancy, ablation,
/// bias share and training per model, and with several models their layer curves in one.
FigureSet make_figures(const std::vector<ModelResults>& models);

}  // namespace massact
