#include "massact/report/test_time_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "massact/io/json_text.h"
#include "massact/report/eval_json.h"
#include "massact/report/eval_text.h"
#include "massact/report/numbers.h"
#include "massact/report/table.h"

namespace massact {
namespace {

using Json = nlohmann::ordered_json;
using Cells = std::vector<std::string>;

// Of the neurons, as many as a person wants to read.
constexpr std::size_t kShownNeurons = 10;

std::string rule_text(const observe::OutlierRule& rule) {
  if (rule.norm > 0) return fmt::format("of at least length {}", number(rule.norm));
  return fmt::format("of at least {} times the median length of the image's patches",
                     number(rule.ratio));
}

std::string_view name_of(NeuronRank rank) {
  return rank == NeuronRank::activation ? "activation" : "contribution";
}

std::string layers_table(const TestTimeResult& result, const TextStyle& style) {
  std::vector<Cells> rows = {
      {"layer", "median", "largest", "ratio", "outliers per image", "of the outliers"}};
  for (const OutlierLayer& layer : result.layers) {
    rows.push_back(
        {fmt::format("{}{}", layer.layer, layer.layer == result.outlier_layer ? " (outliers)" : ""),
         number(layer.median), number(layer.largest), number(layer.ratio), number(layer.outliers),
         percent(layer.kept)});
  }
  return table_text(rows, style);
}

std::string neurons_table(const TestTimeResult& result, const TextStyle& style) {
  std::vector<Cells> rows = {{"neuron", "at outliers", "elsewhere", "column", "contribution"}};
  for (std::size_t i = 0; i < std::min(kShownNeurons, result.neurons.size()); ++i) {
    const RegisterNeuron& neuron = result.neurons[i];
    rows.push_back({fmt::format("layer {}, {}", neuron.layer, neuron.neuron),
                    number(neuron.at_outliers), number(neuron.elsewhere), number(neuron.column),
                    number(neuron.contribution)});
  }
  return table_text(rows, style);
}

std::string neurons_text(const TestTimeResult& result, const TextStyle& style) {
  const auto count = result.neurons.size();
  std::string out =
      wrap(fmt::format("{} of layers 1 to {} moved, by {}. At outliers and elsewhere: mean "
                       "|activation|; column: length of the vector that an activation of 1 writes; "
                       "contribution: the difference times that.",
                       count == 1 ? "One neuron" : fmt::format("{} neurons", count),
                       result.last_layer, name_of(result.options.rank)),
           style) +
      "\n" + neurons_table(result, style);
  if (count > kShownNeurons) out += fmt::format("… and {} more\n", count - kShownNeurons);
  if (result.sweep.empty()) return out + "\n";
  std::string tried;
  for (const NeuronSweep& step : result.sweep) {
    tried +=
        fmt::format("{}{}: {}", tried.empty() ? "" : ", ", step.neurons, number(step.outliers));
  }
  return out +
         wrap(fmt::format("Outliers per calibration image by number of neurons moved: {}. The "
                          "fewest that leave a tenth, else those that leave least.",
                          tried),
              style) +
         "\n\n";
}

std::string measures_table(const TestTimeResult& result, const TextStyle& style) {
  const std::string all = result.first_query ? "cls to " : "attention to ";
  std::vector<Cells> rows = {{"variant", "outliers per image", "change", "largest patch", "change",
                              "added token", all + "outliers", all + "top patch", all + "added"}};
  const auto change = [&](const std::optional<eval::Estimate>& estimate) {
    return estimate ? estimate_text(*estimate, style) : std::string();
  };
  for (const OutlierMeasures& variant : result.variants) {
    const bool added = variant.added.value > 0;
    Cells cells = {variant.name,
                   number(variant.outliers.value),
                   change(variant.outliers_change),
                   number(variant.largest.value),
                   change(variant.largest_change),
                   added ? number(variant.added.value) : ""};
    if (variant.attention) {
      cells.push_back(percent(variant.attention->outliers.value));
      cells.push_back(percent(variant.attention->largest_patch.value));
      cells.push_back(added ? percent(variant.attention->added.value) : "");
    } else {
      cells.insert(cells.end(), 3, "");
    }
    rows.push_back(std::move(cells));
  }
  return table_text(rows, style);
}

Json place_json(const RegisterNeuron& neuron) {
  return {{"layer", neuron.layer}, {"neuron", neuron.neuron}};
}

Json neuron_json(const RegisterNeuron& neuron) {
  Json json = place_json(neuron);
  json["at_outliers"] = neuron.at_outliers;
  json["elsewhere"] = neuron.elsewhere;
  json["column"] = neuron.column;
  json["contribution"] = neuron.contribution;
  return json;
}

Json optional_json(const std::optional<eval::Estimate>& estimate) {
  return estimate ? estimate_json(*estimate) : Json();
}

Json variant_json(const OutlierMeasures& variant) {
  Json attention;
  if (variant.attention) {
    attention = {{"outliers", estimate_json(variant.attention->outliers)},
                 {"largest_patch", estimate_json(variant.attention->largest_patch)},
                 {"added", estimate_json(variant.attention->added)}};
  }
  return {{"name", variant.name},
          {"largest_norm", estimate_json(variant.largest)},
          {"largest_norm_change", optional_json(variant.largest_change)},
          {"outliers", estimate_json(variant.outliers)},
          {"outliers_change", optional_json(variant.outliers_change)},
          {"added_norm", estimate_json(variant.added)},
          {"attention", std::move(attention)}};
}

std::string plan_text(const TestTimeResult& result) {
  std::map<int, std::vector<std::int64_t>> by_layer;
  for (const RegisterNeuron& neuron : result.neurons) {
    by_layer[neuron.layer].push_back(neuron.neuron);
  }
  Json edits = Json::array();
  for (auto& [layer, neurons] : by_layer) {
    std::sort(neurons.begin(), neurons.end());
    edits.push_back({{"site", fmt::format("blocks.{}.mlp.hook_post", layer - 1)},
                     {"positions", "patch"},
                     {"dimensions", neurons},
                     {"action", "move"}});
  }
  const Json variant = {{"name", "test-time registers"},
                        {"added_tokens", result.options.tokens},
                        {"edits", std::move(edits)}};
  const Json plan = {
      {"schema", "massact.edit-plan"}, {"schema_version", 1}, {"variants", Json::array({variant})}};
  return json_file_text(plan);
}

}  // namespace

std::string test_time_text(const TestTimeResult& result, const TextStyle& style) {
  std::string out =
      wrap(fmt::format("No registers: test-time registers. Length of patches behind every layer in "
                       "the calibration images; outliers are patches {}. Layer {} decides which "
                       "({} of {} images have some); of the outliers: how many of them are "
                       "outliers behind a layer.",
                       rule_text(result.options.rule), result.outlier_layer,
                       result.images_with_outliers, result.images),
           style) +
      "\n" + layers_table(result, style) + "\n";
  if (result.neurons.empty()) return out;
  out += neurons_text(result, style);
  const bool attends = result.variants.front().attention.has_value();
  out += wrap(fmt::format("Behind layer {} of the evaluation images{}:", result.outlier_layer,
                          attends ? fmt::format(", and attention in the layers after {} (mean over "
                                                "layers and heads)",
                                                result.last_layer)
                                  : ""),
              style) +
         "\n" + measures_table(result, style) + "\n";
  return out;
}

nlohmann::ordered_json test_time_json(const TestTimeResult& result) {
  const TestTimeOptions& options = result.options;
  Json layers = Json::array(), neurons = Json::array(), control = Json::array();
  Json sweep = Json::array(), variants = Json::array();
  for (const OutlierLayer& layer : result.layers) {
    layers.push_back({{"layer", layer.layer},
                      {"median_norm", layer.median},
                      {"largest_norm", layer.largest},
                      {"ratio", layer.ratio},
                      {"outliers", layer.outliers},
                      {"kept", layer.kept}});
  }
  for (const RegisterNeuron& neuron : result.neurons) neurons.push_back(neuron_json(neuron));
  for (const RegisterNeuron& neuron : result.control) control.push_back(place_json(neuron));
  for (const NeuronSweep& step : result.sweep) {
    sweep.push_back(
        {{"neurons", step.neurons}, {"outliers", step.outliers}, {"largest_norm", step.largest}});
  }
  for (const OutlierMeasures& variant : result.variants) variants.push_back(variant_json(variant));
  return {{"added_tokens", options.tokens},
          {"rank", name_of(options.rank)},
          {"rule",
           {{"ratio", options.rule.norm > 0 ? Json() : Json(options.rule.ratio)},
            {"norm", options.rule.norm > 0 ? Json(options.rule.norm) : Json()}}},
          {"calibration_images", result.images},
          {"calibration_images_with_outliers", result.images_with_outliers},
          {"outlier_layer", result.outlier_layer},
          {"last_layer", result.last_layer},
          {"queries", result.first_query ? "cls" : "all"},
          {"layers", std::move(layers)},
          {"neurons", std::move(neurons)},
          {"control", std::move(control)},
          {"sweep", std::move(sweep)},
          {"variants", std::move(variants)}};
}

std::vector<ResultFile> test_time_files(const TestTimeResult& result) {
  if (result.neurons.empty()) return {};
  std::string csv = "layer,neuron,at_outliers,elsewhere,column,contribution\n";
  for (const RegisterNeuron& neuron : result.neurons) {
    csv += fmt::format("{},{},{},{},{},{}\n", neuron.layer, neuron.neuron, neuron.at_outliers,
                       neuron.elsewhere, neuron.column, neuron.contribution);
  }
  return {{"registers-neurons.csv", std::move(csv)}, {"registers-plan.json", plan_text(result)}};
}

}  // namespace massact
