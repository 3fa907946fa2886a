#include "massact/ops/norm.h"

#include "massact/ops/cpu/checks.h"
#include "massact/ops/cpu/row_kernels.h"
#include "massact/ops/cpu/rows.h"

namespace massact::ops {

void norm(ConstFloatMatrix x, const NormOptions& options, const NormOutputs& outputs,
          Threads& threads) {
  require_same_shape(x, outputs.out, "norm");
  require_columns(options.weight, x.cols, "norm weight");
  require_columns(options.bias, x.cols, "norm bias");
  const FloatMatrix normalized = outputs.normalized;
  if (normalized.data != nullptr) require_same_shape(x, normalized, "norm");
  cpu::for_row_blocks(x.rows, x.cols, threads, [&](std::int64_t first, std::int64_t count) {
    for (std::int64_t r = first; r < first + count; ++r) {
      const cpu::RowScale scale = cpu::row_scale(x.row(r), x.cols, options);
      if (outputs.scale != nullptr) outputs.scale[r] = static_cast<float>(scale.scale);
      cpu::norm_row(x.row(r), x.cols, scale, options,
                    normalized.data != nullptr ? normalized.row(r) : nullptr, outputs.out.row(r));
    }
  });
}

void norm_affine(ConstFloatMatrix normalized, const NormOptions& options, FloatMatrix out,
                 Threads& threads) {
  require_same_shape(normalized, out, "norm");
  require_columns(options.weight, out.cols, "norm weight");
  require_columns(options.bias, out.cols, "norm bias");
  // With mean 0 and scale 1 the first steps change no bit.
  const cpu::RowScale identity;
  cpu::for_row_blocks(out.rows, out.cols, threads, [&](std::int64_t first, std::int64_t count) {
    for (std::int64_t r = first; r < first + count; ++r) {
      cpu::norm_row(normalized.row(r), out.cols, identity, options, nullptr, out.row(r));
    }
  });
}

}  // namespace massact::ops
