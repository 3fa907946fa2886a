#include "massact/report/bench_report.h"

#include <fmt/format.h>

#include "massact/base/units.h"

namespace massact {
namespace {

std::string share_line(std::string_view name, double seconds, double total) {
  return fmt::format("  {:<24}{:>8.3f} s {:>6.1f} %\n", name, seconds, 100 * seconds / total);
}

}  // namespace

std::string bench_text(const BenchResult& result) {
  const RunReport& run = result.run;
  std::string text = fmt::format(
      "{}, {} layers, {} sequences, {} tokens, {}, {} threads, {} pass(es)\n", result.model,
      result.layers, run.sequences, format_count(static_cast<std::uint64_t>(result.tokens)),
      ops::name_of(run.precision), run.threads, run.memory.passes());
  text += fmt::format(
      "{:.4g} tokens/s, {:.4g} GFLOP/s end to end, {:.1f} % of the {:.4g} GFLOP/s "
      "that registers reach\n",
      result.tokens_per_second(), result.flops_per_second() * 1e-9, 100 * result.peak_share(),
      result.peak_flops * 1e-9);
  text += fmt::format("{:.1f} % of the {:.4g} GFLOP/s that its own products reach\n",
                      100 * result.product_share(), result.product_flops_per_second() * 1e-9);
  text += fmt::format("{:.3f} s in all:\n", run.seconds);
  for (int stage = 0; stage < kStages; ++stage) {
    text += share_line(name_of(static_cast<Stage>(stage)), run.times[static_cast<Stage>(stage)],
                       run.seconds);
  }
  text += share_line("packing weights", run.seconds_packing, run.seconds);
  text += share_line("waiting for weights", run.seconds_waiting, run.seconds);
  text += fmt::format("peak RSS {} (predicted {})\n", format_bytes(run.peak_resident),
                      format_bytes(result.predicted_resident));
  return text;
}

nlohmann::ordered_json bench_to_json(const BenchResult& result) {
  nlohmann::ordered_json seconds = {{"total", result.run.seconds}};
  for (int stage = 0; stage < kStages; ++stage) {
    const auto which = static_cast<Stage>(stage);
    seconds[std::string(name_of(which))] = result.run.times[which];
  }
  seconds["packing"] = result.run.seconds_packing;
  seconds["waiting for weights"] = result.run.seconds_waiting;
  return {{"model", result.model},
          {"layers", result.layers},
          {"sequences", result.run.sequences},
          {"tokens", result.tokens},
          {"precision", ops::name_of(result.run.precision)},
          {"threads", result.run.threads},
          {"passes", result.run.memory.passes()},
          {"tokens_per_second", result.tokens_per_second()},
          {"flops_per_second", result.flops_per_second()},
          {"product_flops_per_second", result.product_flops_per_second()},
          {"matmul_flops", result.matmul_flops},
          {"attention_flops", result.attention_flops},
          {"peak_flops_per_second", result.peak_flops},
          {"seconds", seconds},
          {"peak_resident_bytes", result.run.peak_resident},
          {"predicted_resident_bytes", result.predicted_resident}};
}

}  // namespace massact
