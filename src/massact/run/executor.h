// The layer-major executor: every block is read once per pass and carries all streams of all
// sequences forward before the next one is needed.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "massact/base/progress.h"
#include "massact/base/threads.h"
#include "massact/model/stage_times.h"
#include "massact/run/memory.h"
#include "massact/run/plan.h"

namespace massact {

struct RunOptions {
  /// Empty: bf16 if the weights have 16 bits and the CPU multiplies bf16 in hardware, else f32.
  std::optional<ops::Precision> precision;
  int threads = 0;           ///< 0: all CPUs this process may use
  std::uint64_t memory = 0;  ///< budget in bytes; 0: three quarters of the machine's memory
  std::uint64_t kept = 0;    ///< bytes of it that the caller's results take: all sequences'

  int thread_count() const { return threads > 0 ? threads : available_cpus(); }
};

/// What a run did.
struct RunReport {
  ops::Precision precision = ops::Precision::f32;
  int threads = 0;
  std::int64_t sequences = 0;
  std::int64_t tokens = 0;
  MemoryPlan memory;
  double seconds = 0;
  double seconds_waiting = 0;  ///< for the file, before weights could be packed
  double seconds_packing = 0;  ///< of weights
  StageTimes times;            ///< the rest of `seconds`, by stage
  std::uint64_t peak_resident = 0;
  std::vector<std::string> notes;  ///< for people: slower paths that sites made necessary
};

/// The precision a run of this model will use.
ops::Precision effective_precision(const Model& model, std::optional<ops::Precision> wanted);

/// The plan's memory needs, without running it.
MemoryPlan plan_memory(const Plan& plan, const RunOptions& options);

/// One of several runs, before its plan is complete.
struct RunToCome {
  const Plan& plan;               ///< its model and what it reads; nothing else of it is looked at
  std::int64_t streams = 1;       ///< the original's included
  bool logits = false;            ///< they are read
  bool attention = false;         ///< attention is watched
  std::int64_t added_tokens = 0;  ///< by a stream, at most
  std::uint64_t kept = 0;         ///< as in RunOptions, whose `kept` does not count here
  std::uint64_t kept_per_stream = 0;  ///< more of it for every stream
};

/// Throws what `run` would throw for too small a budget, naming one that is enough for all of
/// `runs`: what a later run needs must not show after hours.
void require_memory(std::span<const RunToCome> runs, const RunOptions& options);

/// How many of the run's streams the budget holds at a time: at least one, if only to let `run`
/// say what is missing.
std::int64_t streams_that_fit(const RunToCome& run, const RunOptions& options);

/// Runs the plan. Throws Error for values that are not finite (naming layer, sequence, position and
/// dimension), for observers and edits that never fired, and Interrupted after
/// `request_interrupt()`. Observers then hold partial results: do not use them.
RunReport run(Plan& plan, const RunOptions& options, Progress& progress);

}  // namespace massact
