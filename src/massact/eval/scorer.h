// Watches the logits of the original and of its edited variants in one pass: how likely the targets
// are, and how far each variant's predictions are from the original's.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "massact/eval/window.h"
#include "massact/run/plan.h"

namespace massact::eval {

/// What one stream says about one window.
struct WindowScores {
  /// Log-probability (nats) of each target, in order.
  std::vector<double> log_probs;
  /// For variants: KL(original ‖ variant) in nats at every row from the window's first scored one
  /// to its last, and at how many of them both have the same most likely token. Empty and 0 for the
  /// original.
  std::vector<double> divergences;
  std::int64_t agreements = 0;

  double log_likelihood() const;
};

/// One stream's scores, by window.
using StreamScores = std::vector<WindowScores>;

/// Bytes that a ScoreBoard keeps of each stream; `compared`: there are variants.
std::uint64_t score_bytes(std::span<const Window> windows, bool compared = true);

/// Attached to every stream of a plan; read it after the run.
class ScoreBoard {
 public:
  /// Watches the logits of all streams that `plan` has by now. The plan's sequences must be the
  /// windows' tokens, in the same order.
  static ScoreBoard attach(Plan& plan, std::shared_ptr<const std::vector<Window>> windows);

  /// By stream (0: the original).
  const StreamScores& of(int stream) const {
    return *streams_.at(static_cast<std::size_t>(stream));
  }

 private:
  std::vector<std::shared_ptr<StreamScores>> streams_;
};

/// The token lists of windows, for a Plan.
std::vector<Plan::Tokens> sequences_of(std::span<const Window> windows);

}  // namespace massact::eval
