// What runs need before they begin: precision and memory (executor.h).
#include <algorithm>

#include "massact/run/executor.h"

namespace massact {
namespace {

// What does not depend on what the plan watches and edits. `lengths` must outlive it.
MemoryRequest request_for(const Plan& plan, const std::vector<std::int64_t>& lengths,
                          const RunOptions& options) {
  return {.lengths = lengths,
          .precision = effective_precision(plan.model(), options.precision),
          .budget = options.memory,
          .kept = options.kept,
          .images = plan.images(),
          .threads = options.thread_count()};
}

std::vector<std::int64_t> lengths_with(const Plan& plan, std::int64_t added_tokens) {
  auto lengths = plan.lengths();
  for (std::int64_t& length : lengths) length += added_tokens;
  return lengths;
}

std::uint64_t smallest_memory(const RunToCome& run, const RunOptions& options) {
  const auto lengths = lengths_with(run.plan, run.added_tokens);
  MemoryRequest request = request_for(run.plan, lengths, options);
  request.streams = run.streams;
  request.logits = run.logits;
  request.attention_sums = run.attention;
  request.kept = run.kept + static_cast<std::uint64_t>(run.streams) * run.kept_per_stream;
  request.blocks_run = run.plan.model().config().layers;
  return smallest_memory(run.plan.model(), request);
}

}  // namespace

ops::Precision effective_precision(const Model& model, std::optional<ops::Precision> wanted) {
  if (wanted) return *wanted;
  return model.has_half_weights() && ops::has_fast_bf16() ? ops::Precision::bf16
                                                          : ops::Precision::f32;
}

MemoryPlan plan_memory(const Plan& plan, const RunOptions& options) {
  const auto lengths = lengths_with(plan, plan.most_added_tokens());
  const auto [last_block, needs_end] = plan.extent();
  MemoryRequest request = request_for(plan, lengths, options);
  request.streams = static_cast<std::int64_t>(plan.streams().size());
  request.logits = needs_end;
  request.attention_sums = plan.watches_attention();
  request.blocks_run = last_block + 1;
  return plan_memory(plan.model(), request);
}

void require_memory(std::span<const RunToCome> runs, const RunOptions& options) {
  std::uint64_t smallest = 0;
  for (const RunToCome& run : runs) smallest = std::max(smallest, smallest_memory(run, options));
  require_budget(smallest, memory_budget(options.memory));
}

std::int64_t streams_that_fit(const RunToCome& run, const RunOptions& options) {
  RunToCome fewer = run;
  const std::uint64_t budget = memory_budget(options.memory);
  while (fewer.streams > 1 && smallest_memory(fewer, options) > budget) --fewer.streams;
  return fewer.streams;
}

}  // namespace massact
