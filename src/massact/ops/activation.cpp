#include "massact/ops/activation.h"

#include <array>

#include "massact/ops/cpu/checks.h"
#include "massact/ops/cpu/row_kernels.h"
#include "massact/ops/cpu/rows.h"

namespace massact::ops {

std::string_view name_of(Activation activation) {
  constexpr std::array<std::string_view, 6> kNames = {"gelu", "gelu_tanh", "quick_gelu",
                                                      "silu", "relu",      "relu_squared"};
  return kNames[static_cast<std::size_t>(activation)];
}

void activate(ConstFloatMatrix x, Activation f, FloatMatrix out, Threads& threads) {
  require_same_shape(x, out, "activate");
  cpu::for_row_blocks(x.rows, x.cols, threads, [&](std::int64_t first, std::int64_t count) {
    for (std::int64_t r = first; r < first + count; ++r) {
      cpu::activate_row(x.row(r), x.cols, f, out.row(r));
    }
  });
}

void activate_gated(ConstFloatMatrix gate, ConstFloatMatrix up, Activation f, FloatMatrix out,
                    Threads& threads) {
  require_same_shape(gate, up, "activate_gated");
  require_same_shape(gate, out, "activate_gated");
  cpu::for_row_blocks(gate.rows, gate.cols, threads, [&](std::int64_t first, std::int64_t count) {
    for (std::int64_t r = first; r < first + count; ++r) {
      cpu::activate_gated_row(gate.row(r), up.row(r), gate.cols, f, out.row(r));
    }
  });
}

}  // namespace massact::ops
