#include "massact/ops/elementwise.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
#include <limits>

#include "massact/ops/cpu/checks.h"
#include "massact/ops/cpu/row_kernels.h"
#include "massact/ops/cpu/rows.h"

namespace massact::ops {
namespace {

template <typename Function>
void map_in_place(FloatMatrix x, Threads& threads, const Function& function) {
  cpu::for_row_blocks(x.rows, x.cols, threads, [&](std::int64_t first, std::int64_t count) {
    for (std::int64_t r = first; r < first + count; ++r) {
      std::transform(x.row(r), x.row(r) + x.cols, x.row(r), function);
    }
  });
}

}  // namespace

void add(ConstFloatMatrix a, ConstFloatMatrix b, FloatMatrix out, Threads& threads) {
  require_same_shape(a, b, "add");
  require_same_shape(a, out, "add");
  cpu::for_row_blocks(a.rows, a.cols, threads, [&](std::int64_t first, std::int64_t count) {
    for (std::int64_t r = first; r < first + count; ++r) {
      cpu::add_row(a.row(r), b.row(r), a.cols, out.row(r));
    }
  });
}

void add_bias(FloatMatrix x, std::span<const float> bias, Threads& threads) {
  if (bias.empty()) return;
  require_columns(bias, x.cols, "bias");
  cpu::for_row_blocks(x.rows, x.cols, threads, [&](std::int64_t first, std::int64_t count) {
    for (std::int64_t r = first; r < first + count; ++r) {
      cpu::add_row(x.row(r), bias.data(), x.cols, x.row(r));
    }
  });
}

void scale_columns(FloatMatrix x, std::span<const float> factors, Threads& threads) {
  if (factors.empty()) return;
  require_columns(factors, x.cols, "factors");
  cpu::for_row_blocks(x.rows, x.cols, threads, [&](std::int64_t first, std::int64_t count) {
    for (std::int64_t r = first; r < first + count; ++r) {
      std::transform(x.row(r), x.row(r) + x.cols, factors.data(), x.row(r), std::multiplies<>());
    }
  });
}

void clamp(FloatMatrix x, float limit, Threads& threads) {
  map_in_place(x, threads, [limit](float v) { return std::clamp(v, -limit, limit); });
}

void scale(FloatMatrix x, float factor, Threads& threads) {
  map_in_place(x, threads, [factor](float v) { return v * factor; });
}

void soft_cap(FloatMatrix x, float cap, Threads& threads) {
  map_in_place(x, threads, [cap](float v) { return cap * std::tanh(v / cap); });
}

void copy(ConstFloatMatrix x, FloatMatrix out, Threads& threads) {
  require_same_shape(x, out, "copy");
  cpu::for_row_blocks(x.rows, x.cols, threads, [&](std::int64_t first, std::int64_t count) {
    for (std::int64_t r = first; r < first + count; ++r) {
      std::copy_n(x.row(r), x.cols, out.row(r));
    }
  });
}

std::int64_t find_non_finite(ConstFloatMatrix x, Threads& threads) {
  constexpr std::int64_t kNone = std::numeric_limits<std::int64_t>::max();
  std::atomic<std::int64_t> smallest{kNone};
  cpu::for_row_blocks(x.rows, x.cols, threads, [&](std::int64_t first, std::int64_t count) {
    for (std::int64_t r = first; r < first + count; ++r) {
      const std::int64_t found = cpu::find_non_finite_in_row(x.row(r), x.cols);
      if (found < 0) continue;
      const std::int64_t index = r * x.cols + found;
      std::int64_t seen = smallest.load(std::memory_order_relaxed);
      while (index < seen && !smallest.compare_exchange_weak(seen, index)) {
      }
      return;
    }
  });
  const std::int64_t result = smallest.load();
  return result == kNone ? -1 : result;
}

}  // namespace massact::ops
