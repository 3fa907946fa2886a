// Measuring a model (and its edited variants): perplexity by a stated convention, multiple choice.
// `massact eval` measures the original alone; `massact ablate` measures variants in the same pass.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "massact/base/progress.h"
#include "massact/eval/choices.h"
#include "massact/eval/image_board.h"
#include "massact/eval/perplexity.h"
#include "massact/run/executor.h"
#include "massact/study/run_facts.h"
#include "massact/study/token_streams.h"
#include "massact/text/corpus.h"
#include "massact/text/tasks.h"

namespace massact {

/// A perplexity to measure.
struct PerplexityRequest {
  eval::Convention convention = eval::Convention::hf;
  std::int64_t seq_len = 2048;
  std::int64_t max_windows = 0;  ///< the first so many; 0: all
  /// automatic: as the convention does (hf: never; lm-eval: a prefix before the first window;
  /// llama.cpp: as the tokenizer's configuration says).
  BosPolicy bos = BosPolicy::automatic;
};

/// A multiple-choice task to measure.
struct TaskRequest {
  std::string name;
  std::vector<MultipleChoiceItem> items;
};

/// Everything to measure, as windows that one plan runs.
class MeasureSet {
 public:
  /// The BOS that a request comes to with this model. Throws UsageError if it cannot be met.
  static std::optional<std::int32_t> effective_bos(const Model& model,
                                                   const PerplexityRequest& request);

  /// Adds the windows of the streams. Throws Error naming the sources if there is no full one.
  void add(const Model& model, const TokenStreams& streams, const PerplexityRequest& request);
  /// `bos`: before every context; automatic: as the tokenizer's configuration says.
  void add(const Model& model, TaskRequest task, BosPolicy bos);

  const std::vector<eval::Window>& windows() const { return windows_; }

  struct Text {
    PerplexityRequest request;
    std::string source;
    bool bos = false;
    std::int64_t first = 0, count = 0;       ///< windows
    std::optional<eval::TextCounts> counts;  ///< of the scored text, where there is a text
    bool whole = true;                       ///< false: max_windows left a part of the text out
  };
  struct Task {
    TaskRequest request;
    bool bos = false;
    std::int64_t first = 0, count = 0;
    std::int64_t truncated = 0;  ///< requests that lost the beginning of their context
    std::int64_t cut = 0;        ///< of these, requests that lost a part of the choice as well
  };
  const std::vector<Text>& texts() const { return texts_; }
  const std::vector<Task>& tasks() const { return tasks_; }

 private:
  std::vector<eval::Window> windows_;
  std::vector<Text> texts_;
  std::vector<Task> tasks_;
};

/// One stream's results, in the order of the set's texts and tasks.
struct Measures {
  std::vector<eval::Perplexity> perplexities;
  std::vector<eval::Accuracy> accuracies;
  std::optional<eval::Divergence>
      divergence;  ///< variants only; over all texts' windows (or tasks', or images)
  std::optional<eval::ImageMeasures> images;  ///< of vision models

  // Against the original, variants only.
  std::vector<eval::Estimate> loss_changes;  ///< nats per token, paired
  std::vector<eval::Estimate> acc_changes;   ///< paired
};

/// `original` null: the scores are the original's own.
Measures measures_of(const MeasureSet& set, const eval::StreamScores& scores,
                     const eval::StreamScores* original);

/// Everything `massact eval` reports.
struct EvalResult {
  RunFacts facts;
  std::vector<MeasureSet::Text> texts;
  std::vector<MeasureSet::Task> tasks;
  Measures measures;
  std::vector<std::string> warnings;
};

/// What people should know about the measures themselves: truncated requests, no error bars.
std::vector<std::string> warnings_of(const MeasureSet& set);

EvalResult run_eval(const Model& model, const MeasureSet& set, const RunOptions& options,
                    Progress& progress);

}  // namespace massact
