#include <fmt/format.h>

#include <array>
#include <functional>

#include "massact/report/figure_parts.h"
#include "massact/report/gnuplot.h"

namespace massact {
namespace {

using Json = nlohmann::json;

// What an ablation's figure shows: perplexity on texts; on images top-1, or without classes how far
// the features moved.
struct AblationMeasure {
  std::string name;
  double scale = 1.0;
  std::function<const Json*(const Json& measures)> of;  ///< an estimate, or null
};

std::optional<AblationMeasure> ablation_measure(const Json& ablate) {
  const auto present = [](const Json& value) { return value.is_null() ? nullptr : &value; };
  const auto of_images = [present](const char* key) {
    return [=](const Json& measures) -> const Json* {
      const auto images = measures.find("images");
      if (images == measures.end() || images->is_null()) return nullptr;
      return present(images->at(key));
    };
  };
  if (!ablate.at("texts").empty()) {
    const Json& text = ablate.at("texts").front();
    return AblationMeasure{
        fmt::format("perplexity ({}, {} tokens)", text.at("convention").get<std::string>(),
                    text.at("seq_len").get<std::int64_t>()),
        1.0, [](const Json& measures) -> const Json* {
          const Json& perplexities = measures.at("perplexities");
          if (perplexities.empty()) return nullptr;
          return &perplexities.front().at("perplexity");
        }};
  }
  const std::array<AblationMeasure, 2> candidates = {
      AblationMeasure{"top-1 accuracy, %", 100.0, of_images("top1")},
      AblationMeasure{"cosine of the features to the original's", 1.0,
                      of_images("feature_cosine")}};
  for (const AblationMeasure& candidate : candidates) {
    for (const Json& variant : ablate.at("variants")) {
      if (candidate.of(variant.at("measures")) != nullptr) return candidate;
    }
  }
  return {};
}

}  // namespace

std::optional<Figure> ablation_figure(const ModelResults& model) {
  if (model.ablate.is_null()) return {};
  const std::optional<AblationMeasure> measure = ablation_measure(model.ablate);
  if (!measure) return {};
  Figure figure{model.slug + "-ablation", model.label, "# row\tvalue\terror\n", "", 0.6};
  std::vector<std::string> labels;
  Range range;
  std::string untouched;
  for (const Json& variant : model.ablate.at("variants")) {
    const Json* estimate = measure->of(variant.at("measures"));
    if (estimate == nullptr) continue;
    const double value = measure->scale * estimate->at("value").get<double>();
    const Json& error = estimate->at("error");
    if (variant.at("kind") == "original") {
      untouched = fmt::format(
          "set arrow from {0},graph 0 to {0},graph 1 nohead dashtype 2 lc rgb '#888888'\n", value);
    }
    figure.table += fmt::format("{}\t{}\t{}\n", labels.size(), value,
                                error.is_null() ? 0.0 : measure->scale * error.get<double>());
    range.take(value);
    labels.push_back(variant.at("name").get<std::string>());
  }
  if (labels.empty()) return {};
  const bool share = measure->scale != 1.0;
  figure.script = fmt::format(
      "unset key\nset format x '%.8g'\nset yrange [{}.5:-0.5]\nset ytics {} noenhanced\nset grid "
      "x\n"
      "set xlabel {}\n{}{}{}"
      "plot '{}.tsv' using 2:1:3 with xerrorbars linetype 1 ps 1.2\n",
      labels.size() - 1, ticks(labels),
      gnuplot_string(measure->name + "; bars: ± 1 standard error"),
      !share && range.high > kLogFrom * range.low ? "set logscale x\n" : "",
      share ? "set xrange [*:*<100]\n" : "", untouched, figure.name);
  return figure;
}

}  // namespace massact
