#include "massact/study/eval.h"

#include <fmt/format.h>

#include "massact/base/error.h"
#include "massact/base/units.h"
#include "massact/eval/scorer.h"

namespace massact {
namespace {

using eval::Convention;

std::span<const eval::WindowScores> part(const eval::StreamScores& scores, std::int64_t first,
                                         std::int64_t count) {
  return std::span(scores).subspan(static_cast<std::size_t>(first),
                                   static_cast<std::size_t>(count));
}

std::vector<eval::Window> windows_of(const TokenStream& stream, const PerplexityRequest& request,
                                     std::optional<std::int32_t> bos) {
  switch (request.convention) {
    case Convention::hf:
      return eval::hf_windows(stream.ids, request.seq_len, bos);
    case Convention::llama_cpp:
      return eval::llama_cpp_windows(stream.ids, request.seq_len, bos);
    case Convention::lm_eval:
      break;
  }
  return eval::rolling_windows(stream.ids, request.seq_len, *bos);
}

eval::Estimate paired(const std::vector<double>& variant, const std::vector<double>& original) {
  const std::vector<double> ones(variant.size(), 1.0);
  return eval::paired_difference({variant, ones}, {original, ones});
}

}  // namespace

std::optional<std::int32_t> MeasureSet::effective_bos(const Model& model,
                                                      const PerplexityRequest& request) {
  const Tokenizer* tokenizer = model.has_tokenizer() ? &model.tokenizer() : nullptr;
  const auto needed = [&](std::optional<std::int32_t> token) {
    if (!token) fail_usage("--bos", "expected a tokenizer with a BOS, found none");
    return token;
  };
  const auto bos = tokenizer != nullptr ? tokenizer->bos() : std::nullopt;
  if (request.convention == Convention::lm_eval) {
    if (request.bos == BosPolicy::never) {
      fail_usage("--bos",
                 "expected auto or yes with --ppl lm-eval, got no (its first window always "
                 "begins with the prefix token)");
    }
    return needed(bos || tokenizer == nullptr ? bos : tokenizer->eos());
  }
  if (request.bos == BosPolicy::always) return needed(bos);
  const bool adds = request.convention == Convention::llama_cpp && tokenizer != nullptr &&
                    tokenizer->adds_bos() && request.bos == BosPolicy::automatic;
  return adds ? bos : std::nullopt;
}

void MeasureSet::add(const Model& model, const TokenStreams& streams,
                     const PerplexityRequest& request) {
  const auto bos = effective_bos(model, request);
  Text text{request, streams.names(), bos.has_value(), std::ssize(windows_), 0, {}, true};
  eval::TextCounts counts;
  bool counted = true;
  for (const TokenStream& stream : streams.streams) {
    if (request.max_windows > 0 && text.count == request.max_windows) {
      text.whole = false;
      break;
    }
    std::vector<eval::Window> windows = windows_of(stream, request, bos);
    std::int64_t scored = 0;
    const std::int64_t room = request.max_windows - text.count;
    if (request.max_windows > 0 && std::ssize(windows) > room) {
      windows.resize(static_cast<std::size_t>(room));
      text.whole = false;
    }
    for (eval::Window& window : windows) {
      scored += std::ssize(window.targets);
      windows_.push_back(std::move(window));
      ++text.count;
    }
    counted &= !stream.text.empty();
    counts += eval::TextCounts::of(stream.head(scored).text);
  }
  require(text.count > 0, streams.names(),
          "expected a text of at least one full window of {} tokens, got {} tokens (use a smaller "
          "--seq-len)",
          request.seq_len, streams.token_count());
  if (request.convention == Convention::lm_eval && counted) text.counts = counts;
  texts_.push_back(std::move(text));
}

void MeasureSet::add(const Model& model, TaskRequest task, BosPolicy bos) {
  const Tokenizer& tokenizer = model.tokenizer();
  const bool adds =
      bos == BosPolicy::always || (bos == BosPolicy::automatic && tokenizer.adds_bos());
  auto choices = eval::choice_windows(task.items, tokenizer, model.config().max_positions, adds);
  tasks_.push_back({std::move(task), adds, std::ssize(windows_), std::ssize(choices.windows),
                    choices.truncated, choices.cut});
  std::move(choices.windows.begin(), choices.windows.end(), std::back_inserter(windows_));
}

Measures measures_of(const MeasureSet& set, const eval::StreamScores& scores,
                     const eval::StreamScores* original) {
  Measures measures;
  for (const auto& text : set.texts()) {
    const auto own = part(scores, text.first, text.count);
    const Convention convention = text.request.convention;
    measures.perplexities.push_back(eval::perplexity_of(convention, own, text.counts));
    if (original == nullptr) continue;
    measures.loss_changes.push_back(eval::paired_difference(
        eval::losses_of(convention, own),
        eval::losses_of(convention, part(*original, text.first, text.count))));
  }
  for (const auto& task : set.tasks()) {
    const auto answers = eval::answers_of(task.request.items, part(scores, task.first, task.count));
    measures.accuracies.push_back(eval::accuracy_of(answers));
    if (original == nullptr) continue;
    const auto before =
        eval::answers_of(task.request.items, part(*original, task.first, task.count));
    measures.acc_changes.push_back(paired(answers.acc, before.acc));
  }
  if (original == nullptr) return measures;
  // Windows of texts come first if there are any; tasks have their own scattered lengths.
  std::vector<eval::WindowScores> compared;
  for (const auto& text : set.texts()) {
    const auto own = part(scores, text.first, text.count);
    compared.insert(compared.end(), own.begin(), own.end());
  }
  if (compared.empty()) compared = scores;
  if (!compared.front().divergences.empty()) {
    measures.divergence = eval::divergence_of(compared);
  }
  return measures;
}

std::vector<std::string> warnings_of(const MeasureSet& set) {
  std::vector<std::string> warnings;
  for (const auto& text : set.texts()) {
    if (text.count < 2) {
      warnings.push_back(
          fmt::format("perplexity {} has only one window: no standard error can be given",
                      name_of(text.request.convention)));
    }
    if (!text.whole) {
      warnings.push_back(
          fmt::format("perplexity {} is that of {}, not of the whole text (--sequences)",
                      name_of(text.request.convention), counted(text.count, "window")));
    }
  }
  for (const auto& task : set.tasks()) {
    if (task.truncated == 0) continue;
    warnings.push_back(fmt::format(
        "{} of {} requests of task {} were longer than the model allows and lost the beginning of "
        "their context",
        task.truncated, task.count, task.request.name));
    if (task.cut == 0) continue;
    warnings.push_back(fmt::format(
        "{} choices of task {} are longer than the model allows: only their last tokens are scored "
        "(lm-evaluation-harness would refuse the task)",
        task.cut, task.request.name));
  }
  return warnings;
}

EvalResult run_eval(const Model& model, const MeasureSet& set, const RunOptions& options,
                    Progress& progress) {
  const auto windows = std::make_shared<const std::vector<eval::Window>>(set.windows());
  Plan plan(model, eval::sequences_of(*windows));
  const auto board = eval::ScoreBoard::attach(plan, windows);
  RunOptions run_options = options;
  run_options.kept += eval::score_bytes(*windows, false);
  const RunReport report = run(plan, run_options, progress);
  EvalResult result;
  result.facts = run_facts(model, report);
  result.texts = set.texts();
  result.tasks = set.tasks();
  result.measures = measures_of(set, board.of(0), nullptr);
  result.warnings = warnings_of(set);
  return result;
}

}  // namespace massact
