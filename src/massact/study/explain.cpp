#include "massact/study/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "massact/base/clock.h"
#include "massact/base/error.h"
#include "massact/eval/scorer.h"
#include "massact/observe/magnitudes.h"
#include "massact/study/explain_parts.h"
#include "massact/study/found_scalars.h"
#include "massact/study/image_labels.h"

namespace massact {
namespace explain {
namespace {

constexpr std::size_t kMostFindings = 16;
constexpr std::int64_t kFewestTestTokens = 128;
constexpr std::int64_t kSinkLength = 64;  // of texts, as in sail-sg/Attention-Sink

std::vector<Site> block_sites(const ModelConfig& config, std::span<const SiteKind> kinds) {
  std::vector<Site> sites;
  for (int block = 0; block < config.layers; ++block) {
    for (const SiteKind kind : kinds) {
      if (absence(Site{kind, block}, config).empty()) sites.push_back({kind, block});
    }
  }
  return sites;
}

// The input and the output of the down projection: behind a norm, by what that divided.
std::vector<SiteKind> down_projection_sites(const ModelConfig& config) {
  if (!config.has_branch_norms()) return {SiteKind::mlp_post, SiteKind::mlp_out};
  return {SiteKind::mlp_post, SiteKind::ln2_post_scale, SiteKind::ln2_post_normalized};
}

std::vector<int> all_layers(const ModelConfig& config) {
  std::vector<int> layers(static_cast<std::size_t>(config.layers) + 1);
  std::iota(layers.begin(), layers.end(), 0);
  return layers;
}

// A run over all sequences with everything watched that needs no targets. The observers live in the
// plan.
struct Sweep {
  explicit Sweep(const Context& context) : plan(context.plan()) {}

  Plan plan;
  const observe::Magnitudes* magnitudes = nullptr;
  const observe::AttentionMass* mass = nullptr;
  const observe::VectorPath* path = nullptr;
  const observe::Extremes* extremes = nullptr;
  RunReport report;
};

const observe::Magnitudes& watch_magnitudes(Plan& plan) {
  const ModelConfig& config = plan.model().config();
  return plan.observe(sites::hidden_states(config, all_layers(config)), observe::Magnitudes{});
}

void watch_attention(const Context& context, std::shared_ptr<const observe::MassiveTokens> massive,
                     Sweep& sweep) {
  const ModelConfig& config = context.model.config();
  std::vector<int> blocks(static_cast<std::size_t>(config.layers));
  std::iota(blocks.begin(), blocks.end(), 0);
  sweep.mass = &sweep.plan.watch_attention(
      blocks, observe::AttentionMass({.massive = massive,
                                      .labels = context.labels,
                                      .epsilon = context.options.epsilon,
                                      .length = context.sink_length,
                                      .calibration_end = context.calibration_end}));
  sweep.path = &sweep.plan.observe(
      block_sites(config, observe::kPathSites),
      observe::VectorPath({.massive = std::move(massive), .labels = context.labels}));
  sweep.extremes =
      &sweep.plan.observe(block_sites(config, down_projection_sites(config)), observe::Extremes{});
}

observe::TokenLists lists_of(const FoundScalars& found) {
  observe::TokenLists lists;
  for (const FoundScalar& scalar : found.scalars) {
    lists[scalar.layer][scalar.sequence].push_back(scalar.position);
  }
  for (auto& [layer, sequences] : lists) {
    for (auto& [sequence, positions] : sequences) {
      std::sort(positions.begin(), positions.end());
      positions.erase(std::unique(positions.begin(), positions.end()), positions.end());
    }
  }
  return lists;
}

// The largest C of each sequence over the layers, averaged.
double massive_tokens(const observe::TokenLists& lists, std::int64_t sequences) {
  std::map<std::int64_t, std::size_t> largest;
  for (const auto& [layer, by_sequence] : lists) {
    for (const auto& [sequence, positions] : by_sequence) {
      largest[sequence] = std::max(largest[sequence], positions.size());
    }
  }
  double sum = 0;
  for (const auto& [sequence, count] : largest) sum += static_cast<double>(count);
  return sum / static_cast<double>(sequences);
}

// The findings to explain, numbered as all of them are.
std::vector<ExplainFinding> chosen_findings(const FoundScalars& found, int wanted,
                                            std::vector<std::string>& warnings) {
  std::vector<ExplainFinding> chosen;
  int number = 0;
  for (const Finding& finding : found.findings.findings) {
    if (finding.label != found.label) continue;
    ++number;
    if (wanted == 0 || wanted == number) {
      ExplainFinding& next = chosen.emplace_back();
      next.number = number;
      next.finding = finding;
    }
  }
  if (wanted > number) {
    fail_usage("--finding", "expected one of the {} findings, got {}", number, wanted);
  }
  if (chosen.size() > kMostFindings) {
    warnings.push_back(fmt::format("{} findings: the {} with the largest ratios are explained",
                                   chosen.size(), kMostFindings));
    chosen.resize(kMostFindings);
  }
  return chosen;
}

std::int64_t kept_sequences(const ExplainOptions& options, std::int64_t count) {
  const std::int64_t wanted =
      options.replace < 0 ? std::max<std::int64_t>(1, count / 16) : options.replace;
  return std::clamp<std::int64_t>(wanted, 0, count - 1);
}

// Three streams read the kept sequences. Of a few long ones their beginnings are enough, unless the
// user said how many to keep: the test then stays within a sixteenth of the tokens as well.
std::int64_t test_tokens(const Context& context, std::int64_t kept) {
  std::int64_t longest = 0, all = 0;
  for (std::int64_t s = 0; s < context.count(); ++s) {
    longest = std::max(longest, context.length(s));
    all += context.length(s);
  }
  // Rotary frequencies that depend on the length need the whole text.
  const bool whole =
      context.options.replace >= 0 || context.model.config().rope.depends_on_length();
  if (whole || kept == 0) return longest;
  return std::clamp<std::int64_t>(all / (16 * kept), std::min(kFewestTestTokens, longest), longest);
}

// What Sweep's observers keep.
std::uint64_t sweep_bytes(const Context& context) {
  const ModelConfig& config = context.model.config();
  const auto watched = observe::HiddenStates::of(context.plan(), config.layers + 1,
                                                 context.options.run.thread_count());
  return observe::magnitudes_bytes(watched, {}) + observe::attention_mass_bytes(config) +
         observe::vector_path_bytes(config);
}

class Explanation {
 public:
  explicit Explanation(Context context) : context_(std::move(context)) {}

  ExplainResult run() {
    const Stopwatch clock;
    check_memory();
    ExplainResult result = describe();
    result.maps = draw_maps(context_);  // first: a wrong request shows before hours of work
    FoundScalars found = sweep_and_find(result);
    result.warnings.insert(result.warnings.end(), found.notes.begin(), found.notes.end());
    result.found = found.findings;
    const observe::TokenLists lists = lists_of(found);
    result.massive_tokens = massive_tokens(lists, context_.count());
    if (!found.scalars.empty()) result.label = found.label;
    result.findings =
        trace_findings(context_, chosen_findings(found, context_.options.finding, result.warnings));
    if (context_.model.config().norm_placement == NormPlacement::after_sum) {
      result.warnings.emplace_back(
          "this model normalises the stream behind each sum: writes do not add up to values");
    }
    result.super_weights = super_weights_of(context_, *sweep_->extremes);
    result.massive_weights = massive_weights_of(context_, result.findings);
    result.trajectory = paths_of(*sweep_->path);
    add_sinks(*sweep_->mass, result);
    add_bias(*sweep_->mass, result);
    result.replacement = test_constant(context_, *sweep_->mass, lists, result.warnings);
    result.facts = scan_facts(sweep_->plan, sweep_->report);
    result.facts.seconds = clock.seconds();
    return result;
  }

 private:
  // Of all runs the sweep and the last, of three streams to the logits, need most: too small a
  // budget for them must not show after hours.
  void check_memory() const {
    const Plan all = context_.plan();
    // The trace follows a few scalars of a few findings: how many is not known yet.
    const std::uint64_t traced = trace_bytes(all, 2 * context_.options.traced);
    std::vector<RunToCome> runs = {
        {.plan = all, .attention = true, .kept = context_.kept + traced}};
    std::optional<Plan> test;
    const std::vector<eval::Window> windows = test_windows(context_);
    if (!windows.empty()) {
      test.emplace(context_.model, eval::sequences_of(windows));
      runs.push_back({.plan = *test,
                      .streams = 3,
                      .logits = true,
                      .kept = context_.kept,
                      .kept_per_stream = eval::score_bytes(windows)});
    }
    require_memory(runs, context_.options.run);
  }

  ExplainResult describe() const {
    ExplainResult result;
    result.config = context_.model.config();
    result.asked_rule = context_.options.rule;
    result.spike = context_.options.spike;
    result.epsilon = context_.options.epsilon;
    result.sink_length = context_.sink_length;
    return result;
  }

  void sweep(std::shared_ptr<const observe::MassiveTokens> known) {
    sweep_ = std::make_unique<Sweep>(context_);
    if (known == nullptr) {
      sweep_->magnitudes = &watch_magnitudes(sweep_->plan);
      known = std::make_shared<const observe::MassiveTokens>(*sweep_->magnitudes,
                                                             context_.options.rule);
    }
    watch_attention(context_, std::move(known), *sweep_);
    sweep_->report = massact::run(sweep_->plan, context_.run_options(0), context_.progress);
  }

  // One sweep if the rule finds its tokens as it goes. The automatic rule knows them only after all
  // sequences: it needs a scan before.
  FoundScalars sweep_and_find(ExplainResult& result) {
    const Rule rule = context_.options.rule;
    FoundScalars found;
    if (rule.kind == RuleKind::automatic) {
      Plan plan = context_.plan();
      const observe::Magnitudes& magnitudes = watch_magnitudes(plan);
      massact::run(plan, context_.run_options(0), context_.progress);
      found = find_scalars(magnitudes, rule, *context_.labels);
    } else {
      sweep(nullptr);
      found = find_scalars(*sweep_->magnitudes, rule, *context_.labels);
      if (found.findings.rule == rule && found.label != Label::not_massive) return found;
    }
    // The largest values are of all kinds: only the one that stands out most is worth a story.
    if (found.label == Label::not_massive) keep_first(*context_.labels, found);
    result.extra_passes = 1;
    sweep(std::make_shared<const observe::MassiveTokens>(lists_of(found)));
    return found;
  }

  Context context_;
  std::unique_ptr<Sweep> sweep_;
};

ExplainResult explain(Context context) {
  const std::int64_t kept = kept_sequences(context.options, context.count());
  context.calibration_end = context.count() - kept;
  context.test_tokens = test_tokens(context, kept);
  context.sink_length = context.options.sink_length;
  if (context.sink_length == 0) {
    context.sink_length = context.images != nullptr ? context.length(0) : kSinkLength;
  }
  context.kept = sweep_bytes(context);
  return Explanation(std::move(context)).run();
}

}  // namespace

std::int64_t Context::count() const {
  return images != nullptr ? images->count() : std::ssize(sequences);
}

std::int64_t Context::length(std::int64_t sequence) const {
  if (images == nullptr) return std::ssize(sequences[static_cast<std::size_t>(sequence)]);
  const VisionConfig& vision = model.config().vision;
  return vision.leading_tokens() + vision.grid_of(images->height(), images->width()).count();
}

RunOptions Context::run_options(std::uint64_t more) const {
  RunOptions run = options.run;
  run.kept += kept + more;
  return run;
}

Plan Context::plan() const {
  return images != nullptr ? Plan(model, images) : Plan(model, sequences);
}

Plan Context::plan(const std::map<std::int64_t, std::int64_t>& lengths) const {
  std::vector<Plan::Tokens> texts;
  std::vector<std::int64_t> indices;
  for (const auto& [sequence, length] : lengths) {
    indices.push_back(sequence);
    if (images != nullptr) continue;
    const Plan::Tokens& all = sequences[static_cast<std::size_t>(sequence)];
    texts.emplace_back(all.begin(), all.begin() + length);
  }
  return images != nullptr ? Plan(model, images->subset(indices)) : Plan(model, std::move(texts));
}

}  // namespace explain

ExplainResult run_explain(const Model& model, const Corpus& corpus, const ExplainOptions& options,
                          Progress& progress) {
  std::vector<Plan::Tokens> sequences;
  for (const Sequence& sequence : corpus.sequences()) sequences.push_back(sequence.tokens);
  ExplainResult result =
      explain::explain({.model = model,
                        .options = options,
                        .progress = progress,
                        .labels = std::make_shared<const CorpusLabels>(
                            corpus, options.classes, model.config().prefix_rows()),
                        .sequences = std::move(sequences),
                        .images = nullptr});
  result.facts.text = corpus.source_names();
  result.facts.bos = corpus.adds_bos();
  return result;
}

ExplainResult run_explain(const Model& model, std::shared_ptr<const ImageFiles> images,
                          const ExplainOptions& options, Progress& progress) {
  ExplainResult result =
      explain::explain({.model = model,
                        .options = options,
                        .progress = progress,
                        .labels = std::make_shared<const ImageLabels>(model.config(), *images),
                        .sequences = {},
                        .images = images});
  result.facts.images = image_facts(model.config(), *images);
  result.facts.text = describe(*result.facts.images);
  return result;
}

}  // namespace massact
