#include "massact/report/eval_json.h"

#include "massact/io/json_text.h"
#include "massact/report/origin.h"
#include "massact/report/version.h"

namespace massact {
namespace {

using Json = nlohmann::ordered_json;

Json optional_json(const std::optional<eval::Estimate>& estimate) {
  return estimate ? estimate_json(*estimate) : Json(nullptr);
}

Json estimates_json(const std::vector<eval::Estimate>& estimates) {
  Json out = Json::array();
  for (const auto& estimate : estimates) out.push_back(estimate_json(estimate));
  return out;
}

Json image_measures_json(const std::optional<eval::ImageMeasures>& images) {
  if (!images) return nullptr;
  return {{"top1", optional_json(images->top1)},
          {"top5", optional_json(images->top5)},
          {"top1_change", optional_json(images->top1_change)},
          {"top5_change", optional_json(images->top5_change)},
          {"feature_cosine", optional_json(images->cosine)},
          {"least_feature_cosine", images->cosine ? Json(images->least_cosine) : Json()}};
}

}  // namespace

Json perplexity_json(const eval::Perplexity& p) {
  return {{"convention", name_of(p.convention)},
          {"windows", p.windows},
          {"targets", p.targets},
          {"log_likelihood", p.log_likelihood},
          {"loss", estimate_json(p.loss)},
          {"perplexity", estimate_json(p.perplexity)},
          {"word_perplexity", optional_json(p.word_perplexity)},
          {"byte_perplexity", optional_json(p.byte_perplexity)},
          {"bits_per_byte", optional_json(p.bits_per_byte)}};
}

Json divergence_json(const std::optional<eval::Divergence>& d) {
  if (!d) return nullptr;
  return {{"rows", d->rows},
          {"mean_kl", estimate_json(d->mean_kl)},
          {"p99_kl", d->p99_kl},
          {"max_kl", d->max_kl},
          {"top1_agreement", estimate_json(d->top1_agreement)}};
}

Json estimate_json(const eval::Estimate& estimate) {
  return {{"value", estimate.value}, {"error", estimate.error ? Json(*estimate.error) : Json()}};
}

Json run_json(const RunFacts& facts) {
  return {{"tokens", facts.tokens},
          {"precision", facts.precision},
          {"threads", facts.threads},
          {"passes", facts.passes},
          {"seconds", facts.seconds}};
}

Json texts_json(const std::vector<MeasureSet::Text>& texts) {
  Json out = Json::array();
  for (const auto& text : texts) {
    out.push_back({{"convention", name_of(text.request.convention)},
                   {"source", text.source},
                   {"seq_len", text.request.seq_len},
                   {"bos", text.bos},
                   {"windows", text.count},
                   {"whole_text", text.whole},
                   {"words", text.counts ? Json(text.counts->words) : Json()},
                   {"bytes", text.counts ? Json(text.counts->bytes) : Json()}});
  }
  return out;
}

Json tasks_json(const std::vector<MeasureSet::Task>& tasks) {
  Json out = Json::array();
  for (const auto& task : tasks) {
    out.push_back({{"name", task.request.name},
                   {"items", std::ssize(task.request.items)},
                   {"requests", task.count},
                   {"truncated", task.truncated},
                   {"bos", task.bos}});
  }
  return out;
}

Json measures_json(const Measures& measures) {
  Json perplexities = Json::array(), accuracies = Json::array();
  for (const auto& p : measures.perplexities) perplexities.push_back(perplexity_json(p));
  for (const auto& a : measures.accuracies) {
    accuracies.push_back({{"items", a.items},
                          {"acc", estimate_json(a.acc)},
                          {"acc_norm", estimate_json(a.acc_norm)},
                          {"acc_bytes", estimate_json(a.acc_bytes)}});
  }
  return {{"perplexities", std::move(perplexities)},
          {"accuracies", std::move(accuracies)},
          {"divergence", divergence_json(measures.divergence)},
          {"images", image_measures_json(measures.images)},
          {"loss_changes", estimates_json(measures.loss_changes)},
          {"acc_changes", estimates_json(measures.acc_changes)}};
}

Json eval_to_json(const EvalResult& result, std::string_view model_hash) {
  return {{"schema", kEvalSchema},
          {"schema_version", kEvalSchemaVersion},
          {"massact_version", version()},
          {"model", model_json(result.facts, model_hash)},
          {"run", run_json(result.facts)},
          {"texts", texts_json(result.texts)},
          {"tasks", tasks_json(result.tasks)},
          {"measures", measures_json(result.measures)},
          {"warnings", result.warnings}};
}

std::string eval_json_text(const EvalResult& result, std::string_view model_hash) {
  return json_file_text(eval_to_json(result, model_hash));
}

}  // namespace massact
