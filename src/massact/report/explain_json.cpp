#include <fmt/format.h>

#include "massact/io/json_text.h"
#include "massact/report/eval_json.h"
#include "massact/report/explain_maps.h"
#include "massact/report/explain_report.h"
#include "massact/report/image_json.h"
#include "massact/report/origin.h"
#include "massact/report/rule_name.h"
#include "massact/report/version.h"

namespace massact {
namespace {

using Json = nlohmann::ordered_json;

Json optional_number(const std::optional<double>& value) { return value ? Json(*value) : Json(); }

// A list of what `convert` makes of each element.
template <typename List, typename Convert>
Json list_json(const List& list, const Convert& convert) {
  Json out = Json::array();
  for (const auto& element : list) out.push_back(convert(element));
  return out;
}

template <typename Value, typename Convert>
Json optional_json(const std::optional<Value>& value, const Convert& convert) {
  return value ? convert(*value) : Json();
}

Json input_json(const ExplainInput& input) {
  return {{"dimension", input.dimension},
          {"value", input.value},
          {"weight", input.weight},
          {"contribution", input.value * input.weight}};
}

Json neuron_json(const ExplainNeuron& neuron) {
  return {{"neuron", neuron.neuron},
          {"contribution", neuron.contribution},
          {"share", neuron.share},
          {"value", neuron.value},
          {"weight", neuron.weight},
          {"gate", neuron.gate},
          {"up", optional_number(neuron.up)},
          {"gate_inputs", list_json(neuron.gate_inputs, input_json)},
          {"up_inputs", list_json(neuron.up_inputs, input_json)}};
}

Json mlp_json(const ExplainMlp& split) {
  return {{"bias", split.bias},
          {"rest", split.rest},
          {"closure", split.closure},
          {"top", list_json(split.top, neuron_json)}};
}

Json head_json(const ExplainHead& head) {
  return {{"head", head.head},
          {"kv_head", head.kv_head},
          {"contribution", head.contribution},
          {"share", head.share},
          {"sources", list_json(head.sources,
                                [](const ExplainSource& s) -> Json {
                                  return {{"source", s.source},
                                          {"tokens", s.tokens},
                                          {"contribution", s.contribution},
                                          {"share", s.share}};
                                })},
          {"top_sources", list_json(head.top_sources, [](const ExplainTopSource& s) -> Json {
             return {{"position", s.position},
                     {"token", s.token},
                     {"position_class", s.position_class},
                     {"contribution", s.contribution}};
           })}};
}

Json heads_json(const ExplainHeads& split) {
  return {{"bias", split.bias},
          {"closure", split.closure},
          {"source_closure", split.source_closure},
          {"list", list_json(split.list, head_json)}};
}

Json write_json(const ExplainWrite& write) {
  return {{"layer", write.layer},
          {"block", write.layer - 1},
          {"site", fmt::format("blocks.{}.hook_resid_post", write.layer - 1)},
          {"before", write.before},
          {"after", write.after},
          {"attention", write.attention},
          {"mlp", write.mlp},
          {"closure", write.closure},
          {"mlp_split", optional_json(write.mlp_split, mlp_json)},
          {"mlp_reason", write.mlp_reason},
          {"heads_split", optional_json(write.heads_split, heads_json)},
          {"heads_reason", write.heads_reason}};
}

Json finding_json(const ExplainFinding& f) {
  const auto traced = [](const ExplainTraced& t) -> Json {
    return {
        {"sequence", t.sequence}, {"position", t.position}, {"token", t.token}, {"value", t.value}};
  };
  const auto layer = [](const ExplainLayerValue& l) -> Json {
    return {{"layer", l.layer}, {"value", l.value}, {"attention", l.attention}, {"mlp", l.mlp}};
  };
  return {{"finding", f.number},
          {"dimension", f.finding.dimension},
          {"position_class", f.finding.position_class},
          {"token", f.finding.token},
          {"label", name_of(f.finding.label)},
          {"mean", f.finding.mean},
          {"ratio", f.finding.ratio},
          {"first_layer", f.finding.first_layer},
          {"last_layer", f.finding.last_layer},
          {"peak_layer", f.finding.peak_layer},
          {"traced", list_json(f.traced, traced)},
          {"layers", list_json(f.layers, layer)},
          {"closure", f.closure},
          {"birth", optional_json(f.birth, write_json)},
          {"death", optional_json(f.death, write_json)}};
}

Json super_weight_json(const SuperWeight& w) {
  return {{"layer", w.layer},
          {"weight", w.weight},
          {"row", w.row},
          {"column", w.column},
          {"value", w.value},
          {"input", w.input},
          {"output", w.output},
          {"spike", w.spike},
          {"input_sequence", w.input_sequence},
          {"input_position", w.input_position},
          {"output_sequence", w.output_sequence},
          {"output_position", w.output_position}};
}

Json massive_weight_json(const MassiveWeight& w) {
  return {{"layer", w.layer}, {"neuron", w.neuron}, {"weights", w.weights},
          {"value", w.value}, {"share", w.share},   {"findings", w.findings}};
}

Json path_json(const ExplainPath& path) {
  return {{"layer", path.layer},
          {"group", path.group},
          {"tokens", path.tokens},
          {"points", list_json(path.points, [](const ExplainPoint& p) -> Json {
             return {{"site", p.site},    {"norm", p.norm},
                     {"top1", p.top[0]},  {"top4", p.top[1]},
                     {"top16", p.top[2]}, {"variance", optional_number(p.variance)}};
           })}};
}

Json class_json(const ClassSink& sink) {
  return {{"class", sink.group},
          {"keys", sink.keys},
          {"probability", sink.probability},
          {"logit", optional_number(sink.logit)}};
}

Json head_sink_json(const HeadSink& head) {
  return {{"head", head.head},
          {"kv_head", head.kv_head},
          {"entropy", optional_number(head.entropy)},
          {"first", head.first},
          {"alpha", head.alpha},
          {"sink", head.sink},
          {"classes", list_json(head.classes, class_json)}};
}

Json sink_layer_json(const SinkLayer& layer) {
  return {{"layer", layer.layer},
          {"block", layer.layer - 1},
          {"sink", layer.sink},
          {"entropy", optional_number(layer.entropy)},
          {"first", layer.first},
          {"classes", list_json(layer.classes, class_json)},
          {"heads", list_json(layer.heads, head_sink_json)}};
}

Json summary_json(const SinkSummary& summary) {
  return {{"sink", summary.sink},
          {"massive_class_probability", summary.massive_class_probability},
          {"entropy", optional_number(summary.entropy)}};
}

Json sinks_json(const ExplainResult& result) {
  Json metric = Json::array();
  for (std::size_t k = 0; k < result.sink_metric.size(); ++k) {
    metric.push_back({{"k", k}, {"percent", result.sink_metric[k]}});
  }
  Json before_after;
  if (result.appearance) {
    before_after = {{"layer", *result.appearance},
                    {"before", optional_json(result.before, summary_json)},
                    {"after", optional_json(result.after, summary_json)}};
  }
  return {{"epsilon", result.epsilon},
          {"length", result.sink_length},
          {"metric", std::move(metric)},
          {"before_after", std::move(before_after)},
          {"layers", list_json(result.sinks, sink_layer_json)}};
}

Json bias_head_json(const BiasHead& head) {
  return {{"head", head.head},
          {"kv_head", head.kv_head},
          {"queries", head.queries},
          {"share", optional_number(head.share)},
          {"cosine", optional_number(head.cosine)},
          {"variance", optional_number(head.variance)},
          {"slot_share", optional_number(head.slot_share)},
          {"closure", head.closure}};
}

Json bias_layer_json(const BiasLayer& layer) {
  return {{"layer", layer.layer},
          {"block", layer.layer - 1},
          {"site", fmt::format("blocks.{}.attn.hook_z", layer.layer - 1)},
          {"massive_tokens", layer.massive_tokens},
          {"constant_share", optional_number(layer.constant_share)},
          {"share", optional_number(layer.share)},
          {"slot_share", optional_number(layer.slot_share)},
          {"heads", list_json(layer.heads, bias_head_json)}};
}

Json replacement_json(const Replacement& r, const ScanFacts& facts) {
  const auto variant = [](const ReplacementVariant& v) -> Json {
    return {{"name", v.name},
            {"description", v.description},
            {"perplexity", perplexity_json(v.perplexity)},
            {"loss_change", optional_json(v.loss_change, estimate_json)},
            {"divergence", divergence_json(v.divergence)}};
  };
  return {{"calibration_sequences", r.calibration_sequences},
          {"evaluation_sequences", r.evaluation_sequences},
          {"seq_len", r.seq_len},
          {"bos", facts.bos},
          {"layers", r.layers},
          {"variants", list_json(r.variants, variant)}};
}

Json map_json(const AttentionMap& map, bool with_files) {
  Json out = {{"layer", map.layer},
              {"block", map.layer - 1},
              {"head", map.head ? Json(*map.head) : Json()},
              {"sequence", map.sequence},
              {"queries", map.queries},
              {"columns", map.columns},
              {"slot", map.slot},
              {"logits", nullptr},
              {"probabilities", nullptr},
              {"pictures", Json::array()}};
  if (!with_files) return out;
  out["logits"] = map_file(map, "logits.npy");
  out["probabilities"] = map_file(map, "probabilities.npy");
  out["pictures"] = {map_file(map, "logits.png"), map_file(map, "probabilities.png")};
  return out;
}

// The common fields, and what the figures of heads and neurons refer to.
Json explained_model_json(const ExplainResult& result, std::string_view hash) {
  const ModelConfig& config = result.config;
  Json out = model_json(result.facts, hash);
  out.update({{"heads", config.heads},
              {"kv_heads", config.kv_heads},
              {"head_size", config.head_size},
              {"mlp_size", config.mlp_size},
              {"attention", name_of(config.variant)},
              {"slot", config.has_slot()}});
  return out;
}

Json run_json(const ExplainResult& result) {
  const ScanFacts& facts = result.facts;
  return {{"text", facts.text},
          {"bos", facts.bos},
          {"seq_len", facts.seq_len},
          {"sequences", facts.sequences},
          {"tokens", facts.tokens},
          {"precision", facts.precision},
          {"threads", facts.threads},
          {"passes", facts.passes},
          {"seconds", facts.seconds},
          {"extra_passes", result.extra_passes},
          {"images", images_json(facts.images)}};
}

}  // namespace

Json explain_to_json(const ExplainResult& result, std::string_view model_hash, bool with_files) {
  Json replacement;
  if (result.replacement) replacement = replacement_json(*result.replacement, result.facts);
  return {{"schema", kExplainSchema},
          {"schema_version", kExplainSchemaVersion},
          {"massact_version", version()},
          {"model", explained_model_json(result, model_hash)},
          {"run", run_json(result)},
          {"origin", origin_json()},
          {"found",
           {{"rule", rule_name(result.found)},
            {"asked_rule", result.asked_rule.to_string()},
            {"label", result.label ? Json(name_of(*result.label)) : Json()},
            {"massive_tokens", result.massive_tokens}}},
          {"findings", list_json(result.findings, finding_json)},
          {"spike_threshold", result.spike},
          {"super_weights", list_json(result.super_weights, super_weight_json)},
          {"massive_weights", list_json(result.massive_weights, massive_weight_json)},
          {"trajectory", list_json(result.trajectory, path_json)},
          {"sinks", sinks_json(result)},
          {"bias", list_json(result.bias, bias_layer_json)},
          {"replacement", std::move(replacement)},
          {"maps",
           list_json(result.maps, [&](const AttentionMap& m) { return map_json(m, with_files); })},
          {"warnings", result.warnings}};
}

std::string explain_json_text(const ExplainResult& result, std::string_view model_hash,
                              bool with_files) {
  return json_file_text(explain_to_json(result, model_hash, with_files));
}

std::string explain_plan_text(const ExplainResult& result) {
  Json variants = Json::array();
  Json super = Json::array();
  for (const SuperWeight& w : result.super_weights) {
    if (w.spike) super.push_back({{"weight", w.weight}, {"row", w.row}, {"column", w.column}});
  }
  if (!super.empty()) variants.push_back({{"name", "super weights"}, {"weights", super}});
  Json rows = Json::array();
  for (const MassiveWeight& w : result.massive_weights) {
    for (const std::string& weight : w.weights) {
      rows.push_back({{"weight", weight}, {"row", w.neuron}});
    }
  }
  if (!rows.empty()) variants.push_back({{"name", "massive weights"}, {"weights", rows}});
  if (variants.empty()) return "";
  const Json plan = {
      {"schema", "massact.edit-plan"}, {"schema_version", 1}, {"variants", std::move(variants)}};
  return json_file_text(plan);
}

std::vector<ResultFile> explain_files(const ExplainResult& result, std::string json) {
  std::vector<ResultFile> files = explain_csv_files(result);
  const std::string plan = explain_plan_text(result);
  if (!plan.empty()) files.push_back({"explain-plan.json", plan});
  for (ResultFile& file : explain_map_files(result)) files.push_back(std::move(file));
  files.push_back({"explain.json", std::move(json)});
  return files;
}

}  // namespace massact
