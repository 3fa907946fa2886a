#include "massact/study/ablate.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "massact/base/error.h"
#include "massact/base/free_memory.h"
#include "massact/edit/weight_edits.h"
#include "massact/eval/scorer.h"
#include "massact/run/site_order.h"
#include "massact/study/ablate_labels.h"
#include "massact/study/ablate_subject.h"
#include "massact/study/ablate_variants.h"

namespace massact {
namespace {

// What calibration windows begin with, as the evaluation's do: a BOS before every window, or one
// before the first of every text (lm-eval's rolling windows).
struct WindowStart {
  std::optional<std::int32_t> token;
  bool first_only = false;

  std::int64_t rows_of_each() const { return token && !first_only ? 1 : 0; }
};

WindowStart window_start(const Model& model, const PerplexityRequest& request) {
  return {MeasureSet::effective_bos(model, request),
          request.convention == eval::Convention::lm_eval};
}

// Calibration sequences look like the paper's chunks.
std::vector<Plan::Tokens> chunks_of(const TokenStream& stream, const PerplexityRequest& request,
                                    const WindowStart& start) {
  const auto every = start.first_only ? std::nullopt : start.token;
  auto chunks = eval::sequences_of(eval::hf_windows(stream.ids, request.seq_len, every));
  if (start.first_only && start.token && !chunks.empty()) {
    Plan::Tokens& first = chunks.front();
    first.insert(first.begin(), *start.token);
    first.pop_back();
  }
  return chunks;
}

// The ids that labels, edits and the search for targets have for themselves.
std::uint64_t copied_bytes(const MeasureSet& set) {
  constexpr std::size_t kCopies = 4;
  std::size_t tokens = 0;
  for (const eval::Window& window : set.windows()) tokens += window.tokens.size();
  return kCopies * tokens * sizeof(std::int32_t);
}

std::shared_ptr<const PositionLabels> labels_for(const Model& model, const MeasureSet& set,
                                                 const AblateOptions& options) {
  return std::make_shared<const TokenLabels>(eval::sequences_of(set.windows()),
                                             model.has_tokenizer() ? &model.tokenizer() : nullptr,
                                             options.classes, model.config().prefix_rows());
}

// Layers that a fork shares with the stream it forks from: all before its first edited site.
std::int64_t shared_layers_of(const std::vector<SiteEdit>& edits, std::int64_t layers) {
  const auto [kind, block] =
      std::min_element(edits.begin(), edits.end(), [](const SiteEdit& a, const SiteEdit& b) {
        return site_order(a.site) < site_order(b.site);
      })->site;
  if (is_block_site(kind)) return block + (kind == SiteKind::resid_post ? 1 : 0);
  return kind >= SiteKind::ln_final_out ? layers : 0;
}

// Passes of the original that the run takes: a fork at layer l costs (L − l)/L more, other weights
// a whole pass and their fork's share.
double forward_passes_of(const std::vector<Variant>& variants, std::int64_t layers) {
  double passes = 1.0;
  for (const Variant& variant : variants) {
    if (!variant.weights.empty() || variant.added_tokens > 0) passes += 1.0;
    if (variant.edits.empty() || variant.added_tokens > 0) continue;
    const std::int64_t own = layers - shared_layers_of(variant.edits, layers);
    passes += static_cast<double>(own) / static_cast<double>(layers);
  }
  return passes;
}

// Measures windows of texts: perplexity, multiple choice.
class TextMeter final : public Meter {
 public:
  explicit TextMeter(const MeasureSet& set)
      : set_(set), windows_(std::make_shared<const std::vector<eval::Window>>(set.windows())) {}

  Plan make_plan(const Model& model) const override {
    return {model, eval::sequences_of(*windows_)};
  }
  void attach(Plan& plan) override { board_ = eval::ScoreBoard::attach(plan, windows_); }
  void keep_original() override { original_ = board_->of(0); }
  std::uint64_t stream_bytes() const override { return eval::score_bytes(*windows_); }
  Measures original() const override { return measures_of(set_, original_, nullptr); }
  Measures variant(int stream) const override {
    return measures_of(set_, board_->of(stream), &original_);
  }

 private:
  const MeasureSet& set_;
  std::shared_ptr<const std::vector<eval::Window>> windows_;
  std::optional<eval::ScoreBoard> board_;
  eval::StreamScores original_;
};

class Ablation {
 public:
  Ablation(const Model& model, Meter& meter, const RunOptions& options, Progress& progress)
      : model_(model), meter_(meter), options_(options), progress_(progress) {}

  // Runs all variants that are forks together if the budget holds them, and those with other
  // weights one by one.
  void run(std::vector<Variant> variants, AblateResult& result) {
    result.forward_passes = forward_passes_of(variants, model_.config().layers);
    run_forks(variants, result);
    for (Variant& variant : variants) {
      if (!variant.weights.empty()) run_weights(variant, result);
    }
  }

 private:
  using Forks = std::span<Variant* const>;

  void run_forks(std::vector<Variant>& variants, AblateResult& result) {
    std::vector<Variant*> forks;
    std::int64_t added_tokens = 0;
    for (Variant& variant : variants) {
      if (!variant.weights.empty()) continue;
      forks.push_back(&variant);
      added_tokens = std::max(added_tokens, variant.added_tokens);
    }
    const Plan evaluated = meter_.make_plan(model_);
    const std::int64_t fit = streams_that_fit({.plan = evaluated,
                                               .streams = 1 + std::ssize(forks),
                                               .logits = true,
                                               .attention = meter_.watches_attention(),
                                               .added_tokens = added_tokens,
                                               .kept = options_.kept + meter_.stream_bytes(),
                                               .kept_per_stream = meter_.stream_bytes()},
                                              options_);
    const auto most = static_cast<std::size_t>(std::max<std::int64_t>(fit - 1, 1));
    run_with_original(Forks(forks).first(std::min(most, forks.size())), result);
    for (std::size_t first = most; first < forks.size(); first += most) {
      result.forward_passes += 1.0;
      run_with_original(Forks(forks).subspan(first, std::min(most, forks.size() - first)), result);
    }
    if (forks.size() <= most) return;
    result.warnings.push_back(
        fmt::format("the memory budget holds {} of {} variants at a time: the original ran {} "
                    "times, once beside each group",
                    most, forks.size(), (forks.size() + most - 1) / most));
  }

  // With what the meter keeps of the plan's streams, and of the original beside them.
  RunOptions options_for(const Plan& plan) const {
    RunOptions options = options_;
    options.kept += (1 + plan.streams().size()) * meter_.stream_bytes();
    return options;
  }

  void run_with_original(Forks forks, AblateResult& result) {
    Plan plan = meter_.make_plan(model_);
    for (Variant* variant : forks) {
      plan.fork(variant->row.name, std::move(variant->edits), variant->added_tokens);
    }
    meter_.attach(plan);
    const RunReport report = massact::run(plan, options_for(plan), progress_);
    if (!result.rows.empty()) {
      result.facts.seconds += report.seconds;
    } else {
      meter_.keep_original();
      result.facts = run_facts(model_, report);
      VariantRow original{.name = "original", .kind = VariantKind::original};
      original.measures = meter_.original();
      result.rows.push_back(std::move(original));
    }
    for (std::size_t i = 0; i < forks.size(); ++i) {
      const int stream = static_cast<int>(i) + 1;
      VariantRow row = std::move(forks[i]->row);
      for (const Plan::Planned& planned : plan.edits()) {
        if (planned.stream == stream) row.scalars += planned.values_set;
      }
      row.measures = meter_.variant(stream);
      result.rows.push_back(std::move(row));
    }
  }

  void run_weights(Variant& variant, AblateResult& result) {
    const Model edited = edit::with_weight_edits(model_, variant.weights);
    Plan plan = meter_.make_plan(edited);
    // Without a fork the edits of activations would have no stream: it is stream 1 then.
    int stream = 0;
    if (!variant.edits.empty()) stream = plan.fork(variant.row.name, std::move(variant.edits));
    meter_.attach(plan);
    massact::run(plan, options_for(plan), progress_);
    VariantRow row = std::move(variant.row);
    for (const Plan::Planned& planned : plan.edits()) row.scalars += planned.values_set;
    row.measures = meter_.variant(stream);
    // What is compared image by image or row by row in this run is compared with the edited
    // weights' own stream, not with the original.
    row.measures.divergence.reset();
    if (row.measures.images) row.measures.images->cosine.reset();
    result.rows.push_back(std::move(row));
  }

  const Model& model_;
  Meter& meter_;
  const RunOptions& options_;
  Progress& progress_;
};

// The original and one variant at a time, which is enough (Ablation::run_forks).
RunToCome evaluation(const Plan& evaluated, const Meter& meter, const AblateOptions& options) {
  RunToCome run{.plan = evaluated,
                .streams = 2,
                .logits = true,
                .kept = options.run.kept + meter.stream_bytes(),
                .kept_per_stream = meter.stream_bytes()};
  if (!options.plan) return run;
  const auto& variants = options.plan->variants;
  const bool forks = std::any_of(variants.begin(), variants.end(), [](const auto& spec) {
    return !spec.edits.empty() || spec.added_tokens > 0;
  });
  if (!forks) run.streams = 1;
  for (const auto& spec : variants)
    run.added_tokens = std::max(run.added_tokens, spec.added_tokens);
  return run;
}

// A variant with other weights, and its streams: an edited weight is decoded where the file's was
// only viewed.
struct WeightsRun {
  Plan plan;
  std::int64_t streams = 1;
};

std::vector<WeightsRun> runs_of_weights(const AblationSubject& subject,
                                        const AblateOptions& options) {
  std::vector<WeightsRun> runs;
  if (!options.plan) return runs;
  for (const edit::VariantSpec& spec : options.plan->variants) {
    if (spec.weights.empty()) continue;
    const Model edited = edit::with_weight_edits(subject.model, spec.weights);
    runs.push_back({subject.meter.make_plan(edited), spec.edits.empty() ? 1 : 2});
  }
  return runs;
}

// Refuses a budget that one of the runs to come does not fit into.
void check_memory(const AblationSubject& subject, const Plan& evaluated, const TargetSearch* search,
                  const AblateOptions& options) {
  std::vector<RunToCome> runs = {evaluation(evaluated, subject.meter, options)};
  if (search != nullptr) runs.push_back(search->run(options.run));
  const std::vector<WeightsRun> edited = runs_of_weights(subject, options);
  for (const auto& [plan, streams] : edited) {
    runs.push_back(evaluation(plan, subject.meter, options));
    runs.back().streams = streams;
  }
  require_memory(runs, options.run);
}

}  // namespace

CalibrationSplit split_text(const Model& model, TokenStreams streams,
                            const PerplexityRequest& request) {
  const WindowStart start = window_start(model, request);
  const std::int64_t step = request.seq_len - start.rows_of_each();
  std::int64_t chunks = 0;
  for (const TokenStream& stream : streams.streams) chunks += std::ssize(stream.ids) / step;
  if (request.max_windows > 0) chunks = std::min(chunks, request.max_windows);
  require(chunks >= 2, streams.names(),
          "expected a text of at least two full windows of {} tokens, one to calibrate on and one "
          "to evaluate, got {} tokens (use a smaller --seq-len, or --calibration FILE)",
          request.seq_len, streams.token_count());
  std::int64_t wanted = std::max<std::int64_t>(1, chunks / 5);
  CalibrationSplit result;
  result.split.calibration =
      fmt::format("the first {} of {} windows of {}", wanted, chunks, streams.names());
  result.split.evaluation = fmt::format("the rest of {}", streams.names());
  for (const TokenStream& stream : streams.streams) {
    const std::int64_t own = std::min(wanted, std::ssize(stream.ids) / step);
    for (auto& chunk : chunks_of(stream.head(own * step), request, start)) {
      result.split.calibration_tokens += std::ssize(chunk);
      result.calibration.push_back(std::move(chunk));
    }
    wanted -= own;
    TokenStream rest = stream.tail(own * step);
    if (!rest.ids.empty()) result.evaluation.streams.push_back(std::move(rest));
  }
  result.split.calibration_windows = std::ssize(result.calibration);
  result.evaluation.storage = std::move(streams.storage);
  return result;
}

CalibrationSplit split_text(const Model& model, TokenStreams streams,
                            const TokenStreams& calibration, const PerplexityRequest& request) {
  const WindowStart start = window_start(model, request);
  CalibrationSplit result;
  for (const TokenStream& stream : calibration.streams) {
    for (auto& chunk : chunks_of(stream, request, start)) {
      if (request.max_windows > 0 && std::ssize(result.calibration) == request.max_windows) break;
      result.split.calibration_tokens += std::ssize(chunk);
      result.calibration.push_back(std::move(chunk));
    }
  }
  require(
      !result.calibration.empty(), calibration.names(),
      "expected a calibration text of at least one full window of {} tokens, got {} tokens (use "
      "a smaller --seq-len)",
      request.seq_len, calibration.token_count());
  // A window counts as seen if the evaluation text has its first tokens anywhere.
  const std::int64_t probe = std::min<std::int64_t>(request.seq_len - (start.token ? 1 : 0), 32);
  for (const Plan::Tokens& chunk : result.calibration) {
    const auto begin = chunk.begin() + (start.token == chunk.front() ? 1 : 0);
    result.split.overlap +=
        std::any_of(streams.streams.begin(), streams.streams.end(), [&](const TokenStream& stream) {
          return std::search(stream.ids.begin(), stream.ids.end(), begin, begin + probe) !=
                 stream.ids.end();
        });
  }
  result.split.calibration_windows = std::ssize(result.calibration);
  result.split.calibration = calibration.names();
  result.split.evaluation = streams.names();
  result.evaluation = std::move(streams);
  return result;
}

AblateResult run_ablate(const Model& model, const MeasureSet& set, const CalibrationSplit& split,
                        const AblateOptions& options, Progress& progress) {
  AblateResult result;
  result.split = split.split;
  result.texts = set.texts();
  result.tasks = set.tasks();
  result.warnings = warnings_of(set);
  if (split.split.overlap > 0) {
    result.warnings.push_back(fmt::format(
        "{} of {} calibration windows are also in the evaluation text: means are then not "
        "estimated on other text than they are tested on",
        split.split.overlap, split.split.calibration_windows));
  }
  TextMeter meter(set);
  const auto search = [&] {
    return search_texts(model, split.calibration, eval::sequences_of(set.windows()),
                        options.classes);
  };
  AblateOptions own = options;
  own.run.kept += copied_bytes(set);
  ablate({model, meter, labels_for(model, set, options), search}, own, progress, result);
  return result;
}

void run_variants(const Model& model, Meter& meter, std::vector<Variant> variants,
                  const RunOptions& options, Progress& progress, AblateResult& result) {
  Ablation(model, meter, options, progress).run(std::move(variants), result);
}

void ablate(const AblationSubject& subject, const AblateOptions& options, Progress& progress,
            AblateResult& result) {
  const ModelConfig& config = subject.model.config();
  const Plan evaluated = subject.meter.make_plan(subject.model);
  std::optional<TargetSearch> search;
  if (!options.plan || options.plan->needs_findings()) search = subject.search();
  check_memory(subject, evaluated, search ? &*search : nullptr, options);
  result.selector = options.selector;
  edit::EditContext context{.labels = subject.labels,
                            .found = {},
                            .means = {},
                            .prefix_rows = config.prefix_rows(),
                            .seed = options.seed};
  if (search) {
    result.targets = find_targets(*search, options.rule, options.run, progress);
    context.found = result.targets->found;
    context.means = result.targets->means;
    const auto& notes = result.targets->notes;
    result.warnings.insert(result.warnings.end(), notes.begin(), notes.end());
    search.reset();  // with what its observers keep
    return_free_memory();
  }
  auto variants = options.plan
                      ? planned_variants(context, edit::rows_of(evaluated), options, config)
                      : automatic_variants(*result.targets, context, evaluated.lengths(), options,
                                           config, result.warnings);
  run_variants(subject.model, subject.meter, std::move(variants), options.run, progress, result);
  result.verdicts = verdicts_of(result);
}

}  // namespace massact
