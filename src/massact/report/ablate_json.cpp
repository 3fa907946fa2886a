#include "massact/report/ablate_report.h"

#include <fmt/format.h>

#include <array>

#include "massact/io/json_text.h"
#include "massact/report/eval_json.h"
#include "massact/report/image_json.h"
#include "massact/report/origin.h"
#include "massact/report/rule_name.h"
#include "massact/report/version.h"

namespace massact {
namespace {

using Json = nlohmann::ordered_json;

Json targets_json(const std::optional<Targets>& targets) {
  if (!targets) return nullptr;
  Json list = Json::array();
  for (const AblationTarget& target : targets->targets) {
    const Finding& finding = target.finding;
    list.push_back({{"dimension", finding.dimension},
                    {"position_class", finding.position_class},
                    {"token", finding.token},
                    {"first_layer", finding.first_layer},
                    {"last_layer", finding.last_layer},
                    {"mean", target.mean_count > 0 ? Json(target.mean) : Json()},
                    {"mean_n", target.mean_count}});
  }
  return {{"rule", rule_name(targets->findings)},
          {"label", name_of(targets->label)},
          {"layer", targets->layer},
          {"list", std::move(list)}};
}

Json row_json(const VariantRow& row) {
  return {{"name", row.name},
          {"kind", name_of(row.kind)},
          {"description", row.description},
          {"layer", row.layer < 0 ? Json() : Json(row.layer)},
          {"factor", row.kind == VariantKind::sweep ? Json(row.factor) : Json()},
          {"scalars", row.scalars},
          {"measures", measures_json(row.measures)}};
}

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

class Csv {
 public:
  void add(const VariantRow& row, std::string_view measure, const eval::Estimate& value,
           const eval::Estimate* change) {
    text_ +=
        fmt::format("{},{},{},{},{},{},{},{},{}\n", in_quotes(row.name), name_of(row.kind),
                    row.layer < 0 ? "" : fmt::format("{}", row.layer), row.scalars,
                    in_quotes(measure), value.value, error_of(&value),
                    change != nullptr ? fmt::format("{}", change->value) : "", error_of(change));
  }
  std::string take() { return std::move(text_); }

 private:
  static std::string error_of(const eval::Estimate* estimate) {
    return estimate != nullptr && estimate->error ? fmt::format("{}", *estimate->error) : "";
  }
  std::string text_ = "variant,kind,layer,scalars,measure,value,error,change,change_error\n";
};

void add_images(Csv& csv, const VariantRow& row, const eval::ImageMeasures& m) {
  const auto pointer = [](const std::optional<eval::Estimate>& e) { return e ? &*e : nullptr; };
  if (m.top1) csv.add(row, "top1", *m.top1, pointer(m.top1_change));
  if (m.top5) csv.add(row, "top5", *m.top5, pointer(m.top5_change));
  if (m.cosine) {
    csv.add(row, "feature_cosine", *m.cosine, nullptr);
    csv.add(row, "least_feature_cosine", {m.least_cosine, {}}, nullptr);
  }
}

void add_row(Csv& csv, const AblateResult& result, const VariantRow& row) {
  const Measures& m = row.measures;
  for (std::size_t i = 0; i < m.perplexities.size(); ++i) {
    csv.add(row, fmt::format("loss {}", name_of(result.texts[i].request.convention)),
            m.perplexities[i].loss, m.loss_changes.empty() ? nullptr : &m.loss_changes[i]);
    csv.add(row, fmt::format("perplexity {}", name_of(result.texts[i].request.convention)),
            m.perplexities[i].perplexity, nullptr);
  }
  if (m.divergence) {
    csv.add(row, "mean_kl", m.divergence->mean_kl, nullptr);
    csv.add(row, "p99_kl", {m.divergence->p99_kl, {}}, nullptr);
    csv.add(row, "max_kl", {m.divergence->max_kl, {}}, nullptr);
    csv.add(row, "top1_agreement", m.divergence->top1_agreement, nullptr);
  }
  if (m.images) add_images(csv, row, *m.images);
  for (std::size_t i = 0; i < m.accuracies.size(); ++i) {
    const std::string& task = result.tasks[i].request.name;
    csv.add(row, task + " acc", m.accuracies[i].acc,
            m.acc_changes.empty() ? nullptr : &m.acc_changes[i]);
    csv.add(row, task + " acc_norm", m.accuracies[i].acc_norm, nullptr);
    csv.add(row, task + " acc_bytes", m.accuracies[i].acc_bytes, nullptr);
  }
}

}  // namespace

std::string_view name_of(VariantKind kind) {
  static constexpr std::array<std::string_view, 10> kNames = {
      "original",         "zero",        "mean",  "random",     "near_median",
      "outlier_features", "one_finding", "sweep", "each_layer", "plan"};
  return kNames[static_cast<std::size_t>(kind)];
}

Json split_json(const Split& split) {
  return {{"calibration", split.calibration},
          {"evaluation", split.evaluation},
          {"calibration_windows", split.calibration_windows},
          {"calibration_tokens", split.calibration_tokens},
          {"overlap", split.overlap}};
}

Json variants_json(const AblateResult& result) {
  Json rows = Json::array();
  for (const VariantRow& row : result.rows) rows.push_back(row_json(row));
  return rows;
}

Json ablate_to_json(const AblateResult& result, std::string_view model_hash) {
  return {{"schema", kAblateSchema},
          {"schema_version", kAblateSchemaVersion},
          {"massact_version", version()},
          {"model", model_json(result.facts, model_hash)},
          {"run", run_json(result.facts)},
          {"origin", origin_json()},
          {"split", split_json(result.split)},
          {"targets", targets_json(result.targets)},
          {"selector", result.selector == SelectorKind::found ? "found" : "class"},
          {"texts", texts_json(result.texts)},
          {"tasks", tasks_json(result.tasks)},
          {"images", images_json(result.images)},
          {"variants", variants_json(result)},
          {"forward_passes", result.forward_passes},
          {"verdicts", result.verdicts},
          {"warnings", result.warnings}};
}

std::string ablate_json_text(const AblateResult& result, std::string_view model_hash) {
  return json_file_text(ablate_to_json(result, model_hash));
}

std::string ablate_csv(const AblateResult& result) {
  Csv csv;
  for (const VariantRow& row : result.rows) add_row(csv, result, row);
  return csv.take();
}

std::vector<ResultFile> ablate_files(const AblateResult& result, std::string json) {
  return {{"ablate.csv", ablate_csv(result)}, {"ablate.json", std::move(json)}};
}

}  // namespace massact
