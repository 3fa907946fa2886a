// Multiple choice as lm-evaluation-harness scores it, zero-shot.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "massact/eval/perplexity.h"
#include "massact/text/tasks.h"

namespace massact::eval {

/// The requests of a task as windows, item by item, choice by choice.
struct ChoiceWindows {
  std::vector<Window> windows;
  std::int64_t truncated = 0;  ///< requests whose context lost its beginning
  std::int64_t cut = 0;        ///< of these, requests that lost a part of the continuation as well
};

/// With `bos` the tokenizer's BOS is put before every context; an empty context becomes it (or the
/// EOS, if there is no BOS) in any case, as in lm-eval. Throws Error if the tokenizer has neither
/// and one is needed.
ChoiceWindows choice_windows(std::span<const MultipleChoiceItem> items, const Tokenizer& tokenizer,
                             std::int64_t max_positions, bool bos);

/// Shares of right answers with their standard errors (sample deviation / √n; none for one item).
struct Accuracy {
  std::int64_t items = 0;
  Estimate acc;        ///< arg-max Σ log p, the first on ties
  Estimate acc_norm;   ///< … divided by the choice's length in characters
  Estimate acc_bytes;  ///< … divided by its length in bytes of UTF-8
};

/// 1 where the item is answered rightly, else 0.
struct Answers {
  std::vector<double> acc, acc_norm, acc_bytes;
};
/// `scores`: those of choice_windows(items)'s windows.
Answers answers_of(std::span<const MultipleChoiceItem> items, std::span<const WindowScores> scores);
Accuracy accuracy_of(const Answers& answers);

}  // namespace massact::eval
