#include "massact/report/bench_report.h"

#include <fmt/format.h>

#include "massact/base/units.h"
#include "massact/report/table.h"

namespace massact {
namespace {

std::vector<std::string> share_row(std::string_view name, double seconds, double total) {
  return {std::string(name), fmt::format("{:.3f} s", seconds),
          fmt::format("{:.1f} %", 100 * seconds / total)};
}

// "1 layer", "2 layers".
std::string counted(std::uint64_t n, std::string_view one, std::string_view more) {
  return fmt::format("{} {}", format_count(n), n == 1 ? one : more);
}

std::string heading(const BenchResult& result) {
  const RunReport& run = result.run;
  const auto count = [](auto n) { return static_cast<std::uint64_t>(n); };
  return fmt::format("{}, {}, {}, {}, {}, {}, {}", result.model,
                     counted(count(result.layers), "layer", "layers"),
                     counted(count(run.sequences), "sequence", "sequences"),
                     counted(count(result.tokens), "token", "tokens"), ops::name_of(run.precision),
                     counted(count(run.threads), "thread", "threads"),
                     counted(count(run.memory.passes()), "pass", "passes"));
}

}  // namespace

std::string bench_text(const BenchResult& result, const TextStyle& style) {
  const RunReport& run = result.run;
  std::string text;
  const auto line = [&](const std::string& words) { text += wrap(words, style) + "\n"; };
  line(heading(result));
  line(fmt::format(
      "{:.4g} tokens/s, {:.4g} GFLOP/s end to end, {:.1f} % of the {:.4g} GFLOP/s that registers "
      "reach{}",
      result.tokens_per_second(), result.flops_per_second() * 1e-9, 100 * result.peak_share(),
      result.peak_flops * 1e-9, run.precision == ops::Precision::int8 ? " in bf16" : ""));
  line(fmt::format("{:.1f} % of the {:.4g} GFLOP/s that its own products reach",
                   100 * result.product_share(), result.product_flops_per_second() * 1e-9));
  TableRows rows = {share_row("in all", run.seconds, run.seconds)};
  for (int stage = 0; stage < kStages; ++stage) {
    const auto which = static_cast<Stage>(stage);
    rows.push_back(share_row(name_of(which), run.times[which], run.seconds));
  }
  rows.push_back(share_row("packing weights", run.seconds_packing, run.seconds));
  rows.push_back(share_row("waiting for weights", run.seconds_waiting, run.seconds));
  text += table_text(rows, style);
  line(fmt::format("peak RSS {} (predicted {})", format_bytes(run.peak_resident),
                   format_bytes(result.predicted_resident)));
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
