#include "massact/ops/log_softmax.h"

#include "massact/ops/cpu/checks.h"
#include "massact/ops/cpu/row_kernels.h"
#include "massact/ops/cpu/rows.h"

namespace massact::ops {
namespace {

template <typename T>
void require_rows(ConstFloatMatrix logits, std::span<T> out, std::string_view where) {
  require(static_cast<std::int64_t>(out.size()) == logits.rows && logits.cols > 0, where,
          "expected {} outputs of non-empty rows, got {} of {} columns", logits.rows, out.size(),
          logits.cols);
}

}  // namespace

void log_sum_exp(ConstFloatMatrix logits, std::span<double> out, Threads& threads) {
  require_rows(logits, out, "log_sum_exp");
  cpu::for_row_blocks(
      logits.rows, logits.cols, threads, [&](std::int64_t first, std::int64_t count) {
        for (std::int64_t r = first; r < first + count; ++r) {
          out[static_cast<std::size_t>(r)] = cpu::log_sum_exp_row(logits.row(r), logits.cols);
        }
      });
}

void arg_max(ConstFloatMatrix logits, std::span<std::int32_t> out, Threads& threads) {
  require_rows(logits, out, "arg_max");
  cpu::for_row_blocks(
      logits.rows, logits.cols, threads, [&](std::int64_t first, std::int64_t count) {
        for (std::int64_t r = first; r < first + count; ++r) {
          out[static_cast<std::size_t>(r)] =
              static_cast<std::int32_t>(cpu::arg_max_row(logits.row(r), logits.cols));
        }
      });
}

}  // namespace massact::ops
