#include "massact/eval/scorer.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "massact/base/error.h"
#include "massact/eval/dot.h"
#include "massact/ops/log_softmax.h"

namespace massact::eval {
namespace {

// The original's predictions in the piece that all streams are being shown.
struct Reference {
  Buffer<float> probabilities;  // [rows, vocab]
  std::vector<double> log_sums;
  std::vector<double> mean_logits;  // Σ p·x by row
  std::vector<std::int32_t> best;
  std::int64_t sequence = -1;
  std::int64_t first_position = -1;

  void take(const SiteView& view, std::span<const double> sums, std::span<const std::int32_t> top,
            Threads& threads) {
    const ConstFloatMatrix logits = view.values;
    probabilities.reserve_discarding(logits.rows * logits.cols);
    log_sums.assign(sums.begin(), sums.end());
    best.assign(top.begin(), top.end());
    mean_logits.resize(sums.size());
    sequence = view.sequence;
    first_position = view.first_position;
    threads.parallel_for(logits.rows, [&](std::int64_t r, int) {
      const float* x = logits.row(r);
      float* p = probabilities.data() + r * logits.cols;
      const auto log_sum = static_cast<float>(sums[static_cast<std::size_t>(r)]);
      for (std::int64_t c = 0; c < logits.cols; ++c) p[c] = std::exp(x[c] - log_sum);
      mean_logits[static_cast<std::size_t>(r)] = dot(p, x, logits.cols);
    });
  }

  // Σ p·(log p − log q), with p and the sums over it the same for all variants: a variant with the
  // original's logits has exactly 0.
  double divergence_from(std::int64_t row, ConstFloatMatrix logits, double log_sum) const {
    const auto r = static_cast<std::size_t>(row);
    const float* p = probabilities.data() + row * logits.cols;
    return (mean_logits[r] - dot(p, logits.row(row), logits.cols)) - (log_sums[r] - log_sum);
  }
};

class Scorer final : public Observer {
 public:
  Scorer(std::shared_ptr<const std::vector<Window>> windows, std::shared_ptr<StreamScores> scores,
         std::shared_ptr<Reference> reference, bool is_original)
      : windows_(std::move(windows)),
        scores_(std::move(scores)),
        reference_(std::move(reference)),
        is_original_(is_original) {
    scores_->resize(windows_->size());
  }

  void observe(const SiteView& view, Threads& threads) override {
    const auto rows = static_cast<std::size_t>(view.values.rows);
    log_sums_.resize(rows);
    ops::log_sum_exp(view.values, log_sums_, threads);
    score_targets(view);
    if (reference_ == nullptr) return;
    best_.resize(rows);
    ops::arg_max(view.values, best_, threads);
    if (is_original_) {
      reference_->take(view, log_sums_, best_, threads);
    } else {
      compare(view, threads);
    }
  }

 private:
  const Window& window(const SiteView& view) const {
    return (*windows_)[static_cast<std::size_t>(view.sequence)];
  }
  WindowScores& scores(const SiteView& view) {
    return (*scores_)[static_cast<std::size_t>(view.sequence)];
  }

  void score_targets(const SiteView& view) {
    const Window& scored = window(view);
    auto& log_probs = scores(view).log_probs;
    if (log_probs.empty()) log_probs.reserve(scored.targets.size());
    for (std::int64_t r = 0; r < view.values.rows; ++r) {
      const std::int64_t target = view.first_position + r - scored.first_row;
      if (target < 0 || target >= std::ssize(scored.targets)) continue;
      const std::int32_t id = scored.targets[static_cast<std::size_t>(target)];
      log_probs.push_back(static_cast<double>(view.values(r, id)) -
                          log_sums_[static_cast<std::size_t>(r)]);
    }
  }

  void compare(const SiteView& view, Threads& threads) {
    require(
        reference_->sequence == view.sequence && reference_->first_position == view.first_position,
        "scorer", "expected the original's logits of the same piece first");
    const std::int64_t skipped =
        std::clamp<std::int64_t>(window(view).first_row - view.first_position, 0, view.values.rows);
    WindowScores& out = scores(view);
    const std::size_t before = out.divergences.size();
    if (before == 0) {
      const auto all = std::ssize(view.tokens) - window(view).first_row;
      out.divergences.reserve(static_cast<std::size_t>(std::max<std::int64_t>(all, 0)));
    }
    out.divergences.resize(before + static_cast<std::size_t>(view.values.rows - skipped));
    threads.parallel_for(view.values.rows - skipped, [&](std::int64_t i, int) {
      const std::int64_t row = skipped + i;
      out.divergences[before + static_cast<std::size_t>(i)] =
          reference_->divergence_from(row, view.values, log_sums_[static_cast<std::size_t>(row)]);
    });
    for (auto r = static_cast<std::size_t>(skipped); r < best_.size(); ++r) {
      out.agreements += best_[r] == reference_->best[r];
    }
  }

  std::shared_ptr<const std::vector<Window>> windows_;
  std::shared_ptr<StreamScores> scores_;
  std::shared_ptr<Reference> reference_;  // null if there is nothing to compare
  bool is_original_;
  std::vector<double> log_sums_;
  std::vector<std::int32_t> best_;
};

}  // namespace

double WindowScores::log_likelihood() const {
  return std::accumulate(log_probs.begin(), log_probs.end(), 0.0);
}

std::uint64_t score_bytes(std::span<const Window> windows, bool compared) {
  constexpr std::size_t kAllocation = 16;  // of a list, beside its values
  std::size_t bytes = 0;
  for (const Window& window : windows) {
    const auto rows = compared ? std::ssize(window.tokens) - window.first_row : 0;
    const auto values = std::ssize(window.targets) + std::max<std::ptrdiff_t>(rows, 0);
    bytes +=
        sizeof(WindowScores) + 2 * kAllocation + static_cast<std::size_t>(values) * sizeof(double);
  }
  return bytes;
}

ScoreBoard ScoreBoard::attach(Plan& plan, std::shared_ptr<const std::vector<Window>> windows) {
  for (const Window& window : *windows) {
    for (const std::int32_t id : window.targets) {
      require(id >= 0 && id < plan.model().config().logit_count(), plan.model().name(),
              "expected token ids from 0 to {}, got {} as a target",
              plan.model().config().logit_count() - 1, id);
    }
  }
  ScoreBoard board;
  const std::size_t count = plan.streams().size();
  const auto reference = count > 1 ? std::make_shared<Reference>() : nullptr;
  for (std::size_t stream = 0; stream < count; ++stream) {
    board.streams_.push_back(std::make_shared<StreamScores>());
    plan.observe({{SiteKind::logits, -1}},
                 Scorer(windows, board.streams_.back(), reference, stream == 0),
                 static_cast<int>(stream));
  }
  return board;
}

std::vector<Plan::Tokens> sequences_of(std::span<const Window> windows) {
  std::vector<Plan::Tokens> sequences;
  for (const Window& window : windows) sequences.push_back(window.tokens);
  return sequences;
}

}  // namespace massact::eval
