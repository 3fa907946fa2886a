#include "massact/report/scan_json.h"

#include "massact/io/json_text.h"
#include "massact/report/image_json.h"
#include "massact/report/origin.h"
#include "massact/report/rule_name.h"
#include "massact/report/version.h"

namespace massact {
namespace {

using Json = nlohmann::ordered_json;

Json run_json(const ScanFacts& facts) {
  return {{"text", facts.text},       {"bos", facts.bos},
          {"seq_len", facts.seq_len}, {"sequences", facts.sequences},
          {"tokens", facts.tokens},   {"precision", facts.precision},
          {"threads", facts.threads}, {"passes", facts.passes},
          {"seconds", facts.seconds}, {"images", images_json(facts.images)}};
}

Json top_value_json(const TopValue& value) {
  return {{"value", value.value},
          {"sequence", value.sequence},
          {"position", value.position},
          {"dimension", value.dimension},
          {"token_id", value.token_id},
          {"token", value.token},
          {"position_class", value.position_class},
          {"ratio", value.ratio}};
}

Json layer_json(const LayerRow& row) {
  Json largest = Json::array();
  for (const TopValue& value : row.largest) largest.push_back(top_value_json(value));
  Json sequences = Json::array();
  for (const SequenceRow& sequence : row.sequences) {
    sequences.push_back(
        {{"sequence", sequence.sequence}, {"top", sequence.top}, {"median", sequence.median}});
  }
  return {{"layer", row.layer},
          {"top", row.top},
          {"median", row.median},
          {"median_pooled", row.median_pooled},
          {"quantiles", row.quantiles},
          {"quantiles_pooled", row.quantiles_pooled},
          {"max_abs", row.max_abs},
          {"max_over_median", row.max_over_median},
          {"mean_abs", row.mean_abs},
          {"kurtosis", row.kurtosis},
          {"excess_kurtosis", row.excess_kurtosis},
          {"strict_count", row.strict_count},
          {"largest", std::move(largest)},
          {"sequences", std::move(sequences)}};
}

Json finding_json(const Finding& finding) {
  Json layers = Json::array();
  for (const FindingLayer& layer : finding.layers) {
    layers.push_back({{"layer", layer.layer},
                      {"scalars", layer.scalars},
                      {"sequences", layer.sequences},
                      {"mean", layer.mean},
                      {"sigma", layer.sigma},
                      {"cv", layer.cv},
                      {"max_abs", layer.max_abs},
                      {"ratio", layer.ratio}});
  }
  Json values = Json::array();
  for (const FindingValue& value : finding.values) {
    values.push_back(
        {{"sequence", value.sequence}, {"position", value.position}, {"value", value.value}});
  }
  const FindingExample& example = finding.example;
  return {{"dimension", finding.dimension},
          {"position_class", finding.position_class},
          {"label", name_of(finding.label)},
          {"first_layer", finding.first_layer},
          {"last_layer", finding.last_layer},
          {"peak_layer", finding.peak_layer},
          {"scalars", finding.scalars},
          {"mean", finding.mean},
          {"sigma", finding.sigma},
          {"cv", finding.cv},
          {"max_abs", finding.max_abs},
          {"ratio", finding.ratio},
          {"sequence_share", finding.sequence_share},
          {"token", finding.token},
          {"token_id", finding.token_id},
          {"token_share", finding.token_share},
          {"example",
           {{"sequence", example.sequence},
            {"position", example.position},
            {"token_id", example.token_id},
            {"token", example.token},
            {"before", example.before},
            {"after", example.after},
            {"value", example.value}}},
          {"layers", std::move(layers)},
          {"values", std::move(values)}};
}

Json set_json(const FindingSet& set) {
  Json findings = Json::array();
  for (const Finding& finding : set.findings) findings.push_back(finding_json(finding));
  Json gaps = Json::array();
  for (const LayerGap& gap : set.gaps) {
    gaps.push_back({{"layer", gap.layer},
                    {"sequences", gap.sequences},
                    {"gap", gap.gap},
                    {"threshold", gap.threshold},
                    {"ratio", gap.ratio},
                    {"log10_p_value", gap.log10_p_value}});
  }
  return {{"rule", rule_name(set)},
          {"findings", std::move(findings)},
          {"gaps", std::move(gaps)},
          {"truncated", set.truncated}};
}

Json optional_set_json(const std::optional<FindingSet>& set) {
  return set ? set_json(*set) : Json(nullptr);
}

Json features_json(const std::vector<OutlierFeature>& features) {
  Json out = Json::array();
  for (const OutlierFeature& feature : features) {
    out.push_back({{"dimension", feature.dimension},
                   {"layer_share", feature.layer_share},
                   {"token_share", feature.token_share},
                   {"has_finding", feature.has_finding}});
  }
  return out;
}

Json routing_json(const ScanRouting& routing) {
  Json layers = Json::array();
  for (const LayerRouting& layer : routing.layers) {
    layers.push_back({{"layer", layer.layer}, {"load", layer.load}});
  }
  Json findings = Json::array();
  for (const FindingRouting& finding : routing.findings) {
    Json experts = Json::array();
    for (const ExpertCount& count : finding.experts) {
      experts.push_back({{"expert", count.expert}, {"tokens", count.tokens}});
    }
    findings.push_back({{"finding", finding.finding},
                        {"layer", finding.layer},
                        {"tokens", finding.tokens},
                        {"experts", std::move(experts)}});
  }
  return {{"experts", routing.experts},
          {"per_token", routing.per_token},
          {"layers", std::move(layers)},
          {"findings", std::move(findings)}};
}

}  // namespace

Json scan_to_json(const ScanResult& result, std::string_view model_hash) {
  Json layers = Json::array();
  for (const LayerRow& row : result.layers) layers.push_back(layer_json(row));
  return {{"schema", kScanSchema},
          {"schema_version", kScanSchemaVersion},
          {"massact_version", version()},
          {"model", model_json(result.facts, model_hash)},
          {"run", run_json(result.facts)},
          {"origin", origin_json()},
          {"quantile_levels", kScanQuantiles},
          {"layers", std::move(layers)},
          {"findings", set_json(result.findings)},
          {"automatic", optional_set_json(result.automatic)},
          {"candidates", optional_set_json(result.candidates)},
          {"outlier_features", features_json(result.outlier_features)},
          {"routing", result.routing ? routing_json(*result.routing) : Json(nullptr)},
          {"warnings", result.warnings}};
}

std::string scan_json_text(const ScanResult& result, std::string_view model_hash) {
  return json_file_text(scan_to_json(result, model_hash));
}

}  // namespace massact
