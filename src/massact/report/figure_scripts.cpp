#include "massact/report/figure_scripts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "massact/report/figure_parts.h"
#include "massact/report/gnuplot.h"

namespace massact {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kBarTokens = 16;
constexpr std::size_t kNamedTokens = 8;
constexpr std::size_t kStrips = 10;
constexpr double kGoldenRatio = 0.618034;
constexpr double kStripWidth = 0.6;

// Okabe and Ito's colours, as on the page.
constexpr std::string_view kStyles =
    "set linetype 1 lc rgb '#0072b2' lw 2 pt 7\n"
    "set linetype 2 lc rgb '#d55e00' lw 2 pt 5\n"
    "set linetype 3 lc rgb '#009e73' lw 2 pt 9\n"
    "set linetype 4 lc rgb '#cc79a7' lw 2 pt 13\n"
    "set linetype 5 lc rgb '#8a6d00' lw 2 pt 11\n"
    "set linetype 6 lc rgb '#3b3b9e' lw 2 pt 15\n";
// Cividis: perceptually uniform, and the same to colour-blind eyes.
constexpr std::array<std::uint32_t, 10> kCividis = {0x00224e, 0x123570, 0x3b496c, 0x575d6d,
                                                    0x707173, 0x8a8678, 0xa59c74, 0xc3b369,
                                                    0xe1cc55, 0xfee838};

// The colour of a share (0 to 1) of the scale.
std::uint32_t colour_of(double share) {
  const double at = std::clamp(share, 0.0, 1.0) * static_cast<double>(kCividis.size() - 1);
  const auto low = std::min(static_cast<std::size_t>(at), kCividis.size() - 2);
  const double part = at - static_cast<double>(low);
  std::uint32_t colour = 0;
  for (const int shift : {16, 8, 0}) {
    const double from = (kCividis[low] >> shift) & 0xffu;
    const double to = (kCividis[low + 1] >> shift) & 0xffu;
    colour |= static_cast<std::uint32_t>(std::lround(from + part * (to - from))) << shift;
  }
  return colour;
}

// A token as an axis shows it.
std::string shown(const std::string& token) {
  if (token.find_first_not_of(" \t\r\n") == std::string::npos) {
    return token.find('\n') != std::string::npos ? "\\n" : "(space)";
  }
  return token;
}

const Json* best_set(const Json& scan) {
  for (const char* name : {"candidates", "automatic", "findings"}) {
    if (!scan.at(name).is_null()) return &scan.at(name);
  }
  return nullptr;
}

// The layer to show: where the first finding is strongest, else the last one.
int interesting_layer(const ModelResults& model) {
  if (!model.scan.is_null()) {
    const Json& findings = best_set(model.scan)->at("findings");
    if (!findings.empty()) return findings.front().at("peak_layer").get<int>();
  }
  return model.window.at("layers").back().at("layer").get<int>();
}

// Names for as many tokens as there is room for, among them the one with the largest value.
std::string token_ticks(const std::vector<std::string>& tokens, std::size_t peak) {
  const std::size_t step = (tokens.size() + kNamedTokens - 1) / kNamedTokens;
  std::string out;
  for (std::size_t t = 0; t < tokens.size(); ++t) {
    const std::size_t from_peak = t > peak ? t - peak : peak - t;
    if (from_peak > 0 && (t % step != 0 || from_peak < step)) continue;
    out += (out.empty() ? "" : ", ") + tick(tokens[t], static_cast<double>(t));
  }
  return "(" + out + ")";
}

std::optional<Figure> bars_figure(const ModelResults& model) {
  if (model.window.is_null() || model.window.at("layers").empty()) return {};
  const int wanted = interesting_layer(model);
  const Json* layer = &model.window.at("layers").back();
  for (const Json& row : model.window.at("layers")) {
    if (row.at("layer").get<int>() == wanted) layer = &row;
  }
  Figure figure{model.slug + "-bars", fmt::format("{}, layer {}", model.label, wanted),
                "# dimension_index\ttoken_index\tabs\trgb\tdimension\tvalue\n", "", 0.75};
  const Json& dimensions = model.window.at("dimensions");
  const Json& values = layer->at("values");
  const std::size_t tokens = std::min(kBarTokens, values.size());
  double largest = 0.0;
  std::size_t peak = 0;
  for (std::size_t t = 0; t < tokens; ++t) {
    for (const Json& value : values.at(t)) {
      if (std::abs(value.get<double>()) <= largest) continue;
      largest = std::abs(value.get<double>());
      peak = t;
    }
  }
  std::vector<std::string> token_labels;
  for (std::size_t t = 0; t < tokens; ++t) {
    token_labels.push_back(shown(model.window.at("tokens").at(t).get<std::string>()));
    for (std::size_t d = 0; d < dimensions.size(); ++d) {
      const double value = values.at(t).at(d).get<double>();
      figure.table += fmt::format("{}\t{}\t{}\t{}\t{}\t{}\n", d, t, std::abs(value),
                                  colour_of(std::abs(value) / largest),
                                  dimensions[d].at("dimension").get<std::int64_t>(), value);
    }
  }
  std::string xtics;
  for (std::size_t d = 0; d < dimensions.size(); ++d) {
    if (!dimensions[d].at("has_finding").get<bool>()) continue;
    const auto number = dimensions[d].at("dimension").get<std::int64_t>();
    xtics += (xtics.empty() ? "" : ", ") + tick(fmt::format("{}", number), static_cast<double>(d));
  }
  figure.script = fmt::format(
      "set boxwidth 0.6\nset boxdepth 0.6\nset style fill solid 1.0 border lc rgb '#555555'\n"
      "set pm3d depthorder base\nset view 58,36\nset xyplane at 0\n"
      "unset key\nset xrange [-1:{}]\nset yrange [-1:{}]\nset zrange [0:*]\n"
      "set xtics ({}) out offset 0,-0.5\nset ytics {} out left offset 0.5,-0.2\nset ztics out\n"
      "set xlabel 'dimension' offset 0,-1\nset zlabel '|h|' rotate parallel\n"
      "set grid z\n"
      "splot '{}.tsv' using 1:2:3:4 with boxes linecolor rgb variable\n",
      dimensions.size(), tokens, xtics, token_ticks(token_labels, peak), figure.name);
  return figure;
}

Range layer_range(const std::vector<ModelResults>& models) {
  Range range;
  for (const ModelResults& model : models) {
    if (model.scan.is_null()) continue;
    for (const Json& row : model.scan.at("layers")) {
      range.take(row.at("top").at(0).get<double>());
      range.take(row.at("median").get<double>());
    }
  }
  return range;
}

std::string layer_axes(const Range& range) {
  return fmt::format(
      "set logscale y\nset yrange {}\nset format y '%g'\n"
      "set xlabel 'layer'\nset ylabel '|h|'\nset grid y\nset key top left\n",
      range.decades());
}

std::string layer_rows(const Json& scan) {
  std::string rows;
  for (const Json& row : scan.at("layers")) {
    const Json& top = row.at("top");
    rows += fmt::format("{}\t{}\t{}\t{}\t{}\n", row.at("layer").get<int>(), top.at(0).get<double>(),
                        top.at(1).get<double>(), top.at(2).get<double>(),
                        row.at("median").get<double>());
  }
  return rows;
}

constexpr std::string_view kLayerColumns = "# layer\ttop1\ttop2\ttop3\tmedian\n";

std::optional<Figure> layers_figure(const ModelResults& model, const Range& range) {
  if (model.scan.is_null() || model.scan.at("layers").empty()) return {};
  Figure figure{model.slug + "-layers", model.label,
                std::string(kLayerColumns) + layer_rows(model.scan), "", 0.6};
  figure.script =
      layer_axes(range) + fmt::format(
                              "plot '{0}.tsv' using 1:2 with linespoints title 'top-1', "
                              "'' using 1:3 with linespoints title 'top-2', "
                              "'' using 1:4 with linespoints title 'top-3', "
                              "'' using 1:5 with linespoints dashtype 2 title 'median'\n",
                              figure.name);
  return figure;
}

// Top-1 and median of every model on one axis.
std::optional<Figure> comparison_figure(const std::vector<ModelResults>& models,
                                        const Range& range) {
  Figure figure{"comparison-layers", "top-1 and median of every model", std::string(kLayerColumns),
                layer_axes(range) + "plot ", 0.6};
  int count = 0;
  for (const ModelResults& model : models) {
    if (model.scan.is_null() || model.scan.at("layers").empty()) continue;
    figure.table += (count > 0 ? "\n\n" : "") + layer_rows(model.scan);
    figure.script += fmt::format(
        "{0}'{1}.tsv' index {2} using 1:2 with linespoints linetype {3} title {4}, "
        "'' index {2} using 1:5 with linespoints linetype {3} dashtype 2 title {5}",
        count > 0 ? ", " : "", figure.name, count, count % 6 + 1,
        gnuplot_string(model.label + ", top-1"), gnuplot_string("median"));
    ++count;
  }
  figure.script += "\n";
  if (count < 2) return {};
  return figure;
}

std::optional<Figure> constancy_figure(const ModelResults& model) {
  if (model.scan.is_null()) return {};
  const Json& findings = best_set(model.scan)->at("findings");
  Figure figure{model.slug + "-constancy", model.label, "# x\tvalue\tfinding\n", "", 0.6};
  std::vector<std::string> labels;
  for (std::size_t f = 0; f < std::min(kStrips, findings.size()); ++f) {
    const Json& finding = findings[f];
    labels.push_back(fmt::format("{}, {}", finding.at("dimension").get<std::int64_t>(),
                                 finding.at("position_class").get<std::string>()));
    std::size_t i = 0;
    for (const Json& value : finding.at("values")) {
      const double offset = std::fmod(static_cast<double>(++i) * kGoldenRatio, 1.0) - 0.5;
      figure.table += fmt::format("{}\t{}\t{}\n", static_cast<double>(f) + offset * kStripWidth,
                                  value.at("value").get<double>(), f + 1);
    }
  }
  if (labels.empty()) return {};
  figure.script = fmt::format(
      "unset key\nset xrange [-0.5:{}.5]\nset xtics {} rotate by -25 noenhanced\n"
      "set ylabel 'value in every sequence'\nset grid y\nset rmargin 8\n"
      "plot '{}.tsv' using 1:2:3 with points pt 7 ps 0.5 linecolor variable\n",
      labels.size() - 1, ticks(labels), figure.name);
  return figure;
}

std::optional<Figure> bias_figure(const ModelResults& model) {
  if (model.explain.is_null() || model.explain.at("bias").empty()) return {};
  Figure figure{model.slug + "-bias", model.label, "# layer\tshare\tconstant_share\tslot_share\n",
                "", 0.6};
  bool slot = false;  // only some models have one
  for (const Json& row : model.explain.at("bias")) {
    slot = slot || !row.at("slot_share").is_null();
    figure.table += fmt::format("{}", row.at("layer").get<int>());
    for (const char* key : {"share", "constant_share", "slot_share"}) {
      const Json& share = row.at(key);
      figure.table += share.is_null() ? "\tNaN" : fmt::format("\t{}", share.get<double>());
    }
    figure.table += "\n";
  }
  figure.script = fmt::format(
      "set yrange [0:1]\nset xlabel 'layer'\nset ylabel 'share of the attention output'\n"
      "set grid y\nset key top left\n"
      "plot '{}.tsv' using 1:2 with linespoints title 'massive tokens', "
      "'' using 1:3 with linespoints title 'constant'{}\n",
      figure.name, slot ? ", '' using 1:4 with linespoints title 'slot'" : "");
  return figure;
}

std::optional<Figure> training_figure(const ModelResults& model) {
  Figure figure{model.slug + "-training", model.label, "# step\tratio\n", "", 0.6};
  bool any = false;
  for (const Json& point : model.training) {
    if (point.at("kind") != "monitor") continue;
    any = true;
    figure.table += fmt::format("{}\t{}\n", point.at("step").get<std::int64_t>(),
                                point.at("ratio").get<double>());
  }
  if (!any) return {};
  figure.script = fmt::format(
      "unset key\nset logscale y\nset xlabel 'training step'\nset ylabel 'largest max |h| / "
      "median'\nset grid y\nplot '{}.tsv' using 1:2 with linespoints\n",
      figure.name);
  return figure;
}

}  // namespace

FigureSet make_figures(const std::vector<ModelResults>& models) {
  FigureSet set;
  const auto add = [&](std::string_view source,
                       const std::function<std::optional<Figure>()>& make) {
    try {
      std::optional<Figure> figure = make();
      if (!figure) return;
      figure->script =
          fmt::format("{}set title {}\n{}", kStyles, gnuplot_string(figure->title), figure->script);
      set.figures.push_back(std::move(*figure));
    } catch (const Json::exception& problem) {
      set.left_out.push_back(fmt::format("a figure of {}: {}", source, problem.what()));
    }
  };
  Range range;
  add("scan.json", [&]() -> std::optional<Figure> {
    range = layer_range(models);
    return comparison_figure(models, range);
  });
  for (const ModelResults& model : models) {
    add(model.source, [&] { return bars_figure(model); });
    add(model.source, [&] { return layers_figure(model, range); });
    add(model.source, [&] { return constancy_figure(model); });
    add(model.source, [&] { return ablation_figure(model); });
    add(model.source, [&] { return bias_figure(model); });
    add(model.source, [&] { return training_figure(model); });
  }
  return set;
}

}  // namespace massact
