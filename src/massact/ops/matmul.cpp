#include "massact/ops/matmul.h"

#include "massact/base/error.h"
#include "massact/ops/cpu/checks.h"
#include "massact/ops/cpu/features.h"
#include "massact/ops/cpu/packed_matrix.h"
#include "massact/ops/cpu/panels.h"
#include "massact/ops/thread_memory.h"

namespace massact::ops {
namespace {

const cpu::PanelKernel* kernel_for(Precision precision) {
  return precision == Precision::bf16 ? cpu::panel_kernel() : nullptr;
}

}  // namespace

bool has_fast_bf16() { return cpu_level() >= CpuLevel::avx512_bf16; }

WeightSlice whole(const TensorView& view, bool transposed) {
  require(view.shape.rank() == 2, "weight", "expected a matrix, got shape {}",
          view.shape.to_string());
  const std::int64_t rows = view.shape[0], cols = view.shape[1];
  if (transposed) return {view.type, view.data, cols, rows, 1, cols, {}};
  return {view.type, view.data, rows, cols, cols, 1, {}};
}

PackedMatrix PackedMatrix::pack(std::span<const WeightSlice> slices, Precision precision,
                                Threads& threads) {
  require(!slices.empty(), "weight", "expected at least one slice, got none");
  PackedMatrix packed;
  packed.k_ = slices.front().in;
  packed.precision_ = precision;
  for (const WeightSlice& slice : slices) {
    const bool has_values = slice.data != nullptr || slice.read;
    require(slice.out > 0 && slice.in > 0 && has_values, "weight",
            "expected a non-empty slice, got [{}, {}]", slice.out, slice.in);
    require(slice.in == packed.k_, "weight", "expected slices with {} inputs, got {}", packed.k_,
            slice.in);
    packed.n_ += slice.out;
  }
  const cpu::PackRequest request = {slices, packed.n_, packed.k_, precision};
  const cpu::PanelKernel* kernel = kernel_for(precision);
  packed.impl_ = kernel != nullptr ? cpu::pack_panels(request, *kernel, threads)
                                   : cpu::pack_onednn(request, threads);
  return packed;
}

std::uint64_t matmul_thread_bytes(std::int64_t n, std::int64_t k, Precision precision,
                                  bool decoded) {
  const std::uint64_t bytes = kernel_for(precision) != nullptr
                                  ? cpu::panel_thread_bytes(n, k)
                                  : cpu::onednn_thread_bytes(n, k, precision);
  // A panel of rows in f32.
  return bytes + (decoded ? static_cast<std::uint64_t>(cpu::kPanel * k) * sizeof(float) : 0);
}

std::uint64_t PackedMatrix::byte_count() const { return impl_ ? impl_->byte_count() : 0; }

void matmul(ConstFloatMatrix x, const PackedMatrix& w, FloatMatrix y, const MatmulOptions& options,
            Threads& threads) {
  require(static_cast<bool>(w), "matmul", "expected a packed matrix, got an empty one");
  require(x.cols == w.k() && y.cols == w.n() && x.rows == y.rows, "matmul",
          "expected [m, {}] -> [m, {}], got [{}, {}] -> [{}, {}]", w.k(), w.n(), x.rows, x.cols,
          y.rows, y.cols);
  require_columns(options.bias, y.cols, "bias");
  require_columns(options.scale, y.cols, "scale");
  if (options.residual.data != nullptr) require_same_shape(options.residual, y, "residual");
  if (options.norm != nullptr) {
    require_columns(options.norm->weight, x.cols, "norm weight");
    require_columns(options.norm->bias, x.cols, "norm bias");
  }
  if (x.rows > 0) w.impl()->multiply(x, y, options, threads);
}

}  // namespace massact::ops
