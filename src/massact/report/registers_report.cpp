#include "massact/report/registers_report.h"

#include <fmt/format.h>

#include "massact/io/json_text.h"
#include "massact/report/ablate_report.h"
#include "massact/report/eval_json.h"
#include "massact/report/eval_text.h"
#include "massact/report/image_json.h"
#include "massact/report/image_text.h"
#include "massact/report/numbers.h"
#include "massact/report/origin.h"
#include "massact/report/table.h"
#include "massact/report/test_time_report.h"
#include "massact/report/version.h"

namespace massact {
namespace {

using Json = nlohmann::ordered_json;

// Sums of equal values leave a rounding error: no scatter at all, to a person.
constexpr double kNoScatter = 1e-6;

// Columns: every class token and register by its mean length and scatter, patches by mean and
// largest.
std::string norms_table(const RegistersResult& result, const TextStyle& style) {
  std::vector<std::string> header = {"before layer"};
  for (const TokenNorms& token : result.layers.front().tokens) {
    header.push_back(token.token);
    header.emplace_back(token.token == "patch" ? "largest" : "scatter");
  }
  std::vector<std::vector<std::string>> rows = {header};
  for (const RegisterLayer& layer : result.layers) {
    std::vector<std::string> row = {fmt::format("{}", layer.block)};
    for (const TokenNorms& token : layer.tokens) {
      row.push_back(number(token.norm));
      row.push_back(token.token == "patch"
                        ? number(token.largest)
                        : number(token.scatter < kNoScatter ? 0 : token.scatter));
    }
    rows.push_back(std::move(row));
  }
  return table_text(rows, style);
}

std::string comparison_text(const MeansComparison& comparison, const TextStyle& style) {
  return wrap(fmt::format("{} against the means measured here: cosine at least {:.5g}, difference "
                          "at most {} of their length.",
                          printable(comparison.file, style), comparison.least_cosine,
                          percent(comparison.largest_difference)),
              style) +
         "\n\n";
}

Json comparison_json(const std::optional<MeansComparison>& comparison) {
  if (!comparison) return nullptr;
  return {{"file", comparison->file},
          {"cosines", comparison->cosines},
          {"least_cosine", comparison->least_cosine},
          {"largest_difference", comparison->largest_difference}};
}

Json layers_json(const RegistersResult& result) {
  Json layers = Json::array();
  for (const RegisterLayer& layer : result.layers) {
    Json tokens = Json::array();
    for (const TokenNorms& token : layer.tokens) {
      const bool patches = token.token == "patch";
      tokens.push_back({{"token", token.token},
                        {"norm", token.norm},
                        {"largest", token.largest},
                        {"mean_length", patches ? Json() : Json(token.mean_length)},
                        {"scatter", patches ? Json() : Json(token.scatter)}});
    }
    layers.push_back({{"layer", layer.block}, {"tokens", std::move(tokens)}});
  }
  return layers;
}

}  // namespace

std::string registers_text(const RegistersResult& result, const TextStyle& style) {
  const AblateResult& evaluation = result.evaluation;
  std::string out = facts_text(evaluation.facts, style);
  out +=
      wrap(fmt::format("means: {}; evaluation: {}", printable(evaluation.split.calibration, style),
                       printable(evaluation.split.evaluation, style)),
           style) +
      "\n";
  if (evaluation.images) {
    out += classifier_text(*evaluation.images, style) + left_out_text(*evaluation.images, style);
  }
  out += "\n" +
         wrap(
             "Length of the hidden states that a layer reads, averaged over images; scatter: their "
             "standard deviation around the mean vector, of its length (0: a constant).",
             style) +
         "\n" + norms_table(result, style) + "\n";
  if (result.comparison) out += comparison_text(*result.comparison, style);
  if (result.test_time) out += test_time_text(*result.test_time, style);
  if (evaluation.rows.size() > 1) {
    out += wrap(result.test_time ? "What the model answers:"
                                 : "The registers overwritten before every layer:",
                style) +
           "\n" + variants_table(evaluation, style) + "\n";
  }
  return out + warnings_text(evaluation.warnings, style);
}

std::string registers_json_text(const RegistersResult& result, std::string_view model_hash) {
  const AblateResult& evaluation = result.evaluation;
  const Json json = {{"schema", kRegistersSchema},
                     {"schema_version", kRegistersSchemaVersion},
                     {"massact_version", version()},
                     {"model", model_json(evaluation.facts, model_hash)},
                     {"run", run_json(evaluation.facts)},
                     {"origin", origin_json()},
                     {"images", images_json(evaluation.images)},
                     {"split", split_json(evaluation.split)},
                     {"registers", result.registers.registers},
                     {"layers", layers_json(result)},
                     {"comparison", comparison_json(result.comparison)},
                     {"test_time", result.test_time ? test_time_json(*result.test_time) : Json()},
                     {"variants", variants_json(evaluation)},
                     {"warnings", evaluation.warnings}};
  return json_file_text(json);
}

std::string registers_csv(const RegistersResult& result) {
  std::string out = "layer,token,norm,largest,mean_length,scatter\n";
  for (const RegisterLayer& layer : result.layers) {
    for (const TokenNorms& token : layer.tokens) {
      out += fmt::format("{},{},{},{},", layer.block, token.token, token.norm, token.largest);
      out +=
          token.token == "patch" ? ",\n" : fmt::format("{},{}\n", token.mean_length, token.scatter);
    }
  }
  return out;
}

std::vector<ResultFile> registers_files(const RegistersResult& result, std::string json) {
  std::vector<ResultFile> files = {
      {"registers.csv", registers_csv(result)},
      {"registers-variants.csv", ablate_csv(result.evaluation)},
  };
  if (result.test_time) {
    for (ResultFile& file : test_time_files(*result.test_time)) files.push_back(std::move(file));
  }
  files.push_back({"registers.json", std::move(json)});
  return files;
}

}  // namespace massact
