// Does the constant explain it? Σ over C becomes its mean over the calibration queries, per head,
// in every layer that has massive tokens, and the predictions are compared.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "massact/eval/scorer.h"
#include "massact/study/explain_parts.h"

namespace massact::explain {
namespace {

/// By block: [H * c], what Σ over C is on average.
using Constants = std::map<int, std::vector<float>>;

// What attention of one stream said last about its sequences: from the watcher to the edit, which
// the block visits right after it.
struct Latest {
  struct Part {
    ConstFloatMatrix chosen;          // [T, H * c]
    std::vector<std::uint8_t> edits;  // [T] queries outside C that see C
  };
  std::map<std::int64_t, Part> by_sequence;
};

class ChosenWatcher final : public AttentionObserver {
 public:
  ChosenWatcher(std::shared_ptr<const observe::MassiveTokens> massive, std::int64_t first_sequence,
                std::shared_ptr<Latest> latest)
      : massive_(std::move(massive)), first_(first_sequence), latest_(std::move(latest)) {}

  void choose(int block, std::int64_t sequence, std::span<std::uint8_t> positions) override {
    for (const std::int64_t position : massive_->at(block, first_ + sequence)) {
      // Behind the end of what the test reads: no query of it sees them.
      if (position >= std::ssize(positions)) continue;
      positions[static_cast<std::size_t>(position)] = 1;
    }
  }

  void observe(const AttentionView& view, Threads& /*threads*/) override {
    Latest::Part& part = latest_->by_sequence[view.sequence];
    part.chosen = view.sums.output(view.options).slice_rows(view.rows.first, view.rows.count);
    part.edits.assign(static_cast<std::size_t>(view.rows.count), 0);
    const auto is_chosen = [&](std::int64_t i) {
      return view.sums.chosen[static_cast<std::size_t>(view.rows.first + i)] != 0;
    };
    std::vector<std::int64_t> chosen;
    for (std::int64_t j = 0; j < view.rows.count; ++j) {
      if (is_chosen(j)) chosen.push_back(j);
    }
    for (std::int64_t i = 0; i < view.rows.count; ++i) {
      if (is_chosen(i)) continue;
      const bool sees_one = std::any_of(chosen.begin(), chosen.end(), [&](std::int64_t j) {
        return ops::sees(view.options, i, j);
      });
      part.edits[static_cast<std::size_t>(i)] = sees_one ? 1 : 0;
    }
  }

 private:
  std::shared_ptr<const observe::MassiveTokens> massive_;
  std::int64_t first_;
  std::shared_ptr<Latest> latest_;
};

// At attn.hook_z: z − Σ over C + constant.
class ReplaceChosen final : public Edit {
 public:
  ReplaceChosen(std::shared_ptr<const Latest> latest, std::vector<float> constant)
      : latest_(std::move(latest)), constant_(std::move(constant)) {}

  std::int64_t apply(const SiteView& view) override {
    const Latest::Part& part = latest_->by_sequence.at(view.sequence);
    std::int64_t count = 0;
    for (std::int64_t r = 0; r < view.values.rows; ++r) {
      if (part.edits[static_cast<std::size_t>(r)] == 0) continue;
      for (std::int64_t i = 0; i < view.values.cols; ++i) {
        view.values(r, i) += constant_[static_cast<std::size_t>(i)] - part.chosen(r, i);
      }
      count += view.values.cols;
    }
    return count;
  }
  std::string description() const override { return "sum over massive tokens replaced"; }

 private:
  std::shared_ptr<const Latest> latest_;
  std::vector<float> constant_;
};

// The beginning of a kept sequence.
Plan::Tokens test_text(const Context& context, std::int64_t sequence) {
  Plan::Tokens tokens = context.sequences[static_cast<std::size_t>(sequence)];
  if (std::ssize(tokens) > context.test_tokens) {
    tokens.resize(static_cast<std::size_t>(context.test_tokens));
  }
  return tokens;
}

// True if a query outside C, in a sequence kept for the test, sees a token of C in this block.
bool has_queries(const Context& context, int block,
                 const std::map<std::int64_t, std::vector<std::int64_t>>& massive) {
  const ModelConfig& config = context.model.config();
  const std::int64_t window = config.windows[static_cast<std::size_t>(block)];
  for (auto it = massive.lower_bound(context.calibration_end); it != massive.end(); ++it) {
    const auto& chosen = it->second;
    const std::int64_t count = std::ssize(test_text(context, it->first)) + config.prefix_rows();
    for (const std::int64_t key : chosen) {
      const std::int64_t end = window > 0 ? std::min(count, key + window) : count;
      for (std::int64_t query = key + 1; query < end; ++query) {
        if (!std::binary_search(chosen.begin(), chosen.end(), query)) return true;
      }
    }
  }
  return false;
}

// Of the blocks where every head has a constant and the evaluated sequences have massive tokens
// that some other query sees.
Constants constants_of(const Context& context, const observe::AttentionMass& mass,
                       const observe::TokenLists& massive) {
  Constants constants;
  for (const auto& [block, heads] : mass.blocks()) {
    const auto layer = massive.find(block);
    if (layer == massive.end() || !has_queries(context, block, layer->second)) continue;
    std::vector<float> constant;
    for (const observe::HeadMass& head : heads) {
      if (head.constant_queries == 0) break;
      for (const double sum : head.constant) {
        constant.push_back(static_cast<float>(sum / static_cast<double>(head.constant_queries)));
      }
    }
    const ModelConfig& config = context.model.config();
    if (std::ssize(constant) == config.heads * config.head_size) constants[block] = constant;
  }
  return constants;
}

void fork(const Context& context, const Constants& constants, const observe::TokenLists& massive,
          bool removed, Plan& plan) {
  const auto latest = std::make_shared<Latest>();
  std::vector<SiteEdit> edits;
  std::vector<int> blocks;
  for (const auto& [block, constant] : constants) {
    const std::vector<float> none(constant.size());
    edits.push_back(
        {{SiteKind::z, block}, std::make_unique<ReplaceChosen>(latest, removed ? none : constant)});
    blocks.push_back(block);
  }
  const int stream = plan.fork(removed ? "removed" : "constant", std::move(edits));
  plan.watch_attention(blocks,
                       ChosenWatcher(std::make_shared<const observe::MassiveTokens>(massive),
                                     context.calibration_end, latest),
                       stream);
}

ReplacementVariant variant_of(const eval::ScoreBoard& board, int stream) {
  static constexpr const char* kNames[] = {"original", "constant", "removed"};
  static constexpr const char* kDescriptions[] = {
      "nothing changed", "the sum over massive tokens set to its mean over the calibration queries",
      "the sum over massive tokens set to zero"};
  ReplacementVariant variant;
  variant.name = kNames[stream];
  variant.description = kDescriptions[stream];
  const eval::StreamScores& scores = board.of(stream);
  variant.perplexity = eval::perplexity_of(eval::Convention::hf, scores, std::nullopt);
  if (stream == 0) return variant;
  variant.loss_change = eval::paired_difference(eval::losses_of(eval::Convention::hf, scores),
                                                eval::losses_of(eval::Convention::hf, board.of(0)));
  variant.divergence = eval::divergence_of(scores);
  return variant;
}

}  // namespace

std::vector<eval::Window> test_windows(const Context& context) {
  std::vector<eval::Window> windows;
  for (auto s = context.calibration_end; s < std::ssize(context.sequences); ++s) {
    const Plan::Tokens tokens = test_text(context, s);
    if (tokens.empty()) continue;
    windows.push_back({tokens, 0, {tokens.begin() + 1, tokens.end()}});
  }
  return windows;
}

std::optional<Replacement> test_constant(const Context& context, const observe::AttentionMass& mass,
                                         const observe::TokenLists& massive,
                                         std::vector<std::string>& warnings) {
  const auto count = std::ssize(context.sequences);
  if (context.options.replace == 0 || massive.empty()) return std::nullopt;
  if (context.images != nullptr) {
    warnings.emplace_back(
        "the constant is not tested: this model predicts no tokens (massact ablate --images and "
        "massact registers measure what its massive activations are worth)");
    return std::nullopt;
  }
  const bool too_short =
      std::any_of(context.sequences.begin() + context.calibration_end, context.sequences.end(),
                  [](const Plan::Tokens& tokens) { return tokens.size() < 2; });
  if (context.calibration_end == count || context.calibration_end == 0 || too_short) {
    warnings.emplace_back(
        "the constant is not tested: it needs at least two sequences of two tokens, one to "
        "calibrate on and one to measure");
    return std::nullopt;
  }
  const Constants constants = constants_of(context, mass, massive);
  if (constants.empty()) {
    warnings.emplace_back(
        "the constant is not tested: no block has massive tokens both in the calibration sequences "
        "and in those kept for the test");
    return std::nullopt;
  }
  const auto windows = std::make_shared<const std::vector<eval::Window>>(test_windows(context));
  Plan plan(context.model, eval::sequences_of(*windows));
  fork(context, constants, massive, false, plan);
  fork(context, constants, massive, true, plan);
  const auto board = eval::ScoreBoard::attach(plan, windows);
  run(plan, context.run_options(plan.streams().size() * eval::score_bytes(*windows)),
      context.progress);

  Replacement result;
  result.calibration_sequences = context.calibration_end;
  result.evaluation_sequences = count - context.calibration_end;
  for (const eval::Window& window : *windows) {
    result.seq_len = std::max<std::int64_t>(result.seq_len, std::ssize(window.tokens));
  }
  for (const auto& [block, constant] : constants) result.layers.push_back(block + 1);
  for (int stream = 0; stream < 3; ++stream) result.variants.push_back(variant_of(board, stream));
  return result;
}

}  // namespace massact::explain
