// bf16 products of attention on AMX or VDPBF16PS: 32 queries by 32 keys (or output columns) at a
// time.
#include <algorithm>

#include "massact/ops/cpu/attention_kernel.h"
#include "massact/ops/cpu/panels.h"

namespace massact::ops::cpu {
namespace {

std::uint16_t* as_bf16(std::byte* p) { return reinterpret_cast<std::uint16_t*>(p); }
const std::uint16_t* as_bf16(const std::byte* p) {
  return reinterpret_cast<const std::uint16_t*>(p);
}

class PanelsKernel : public AttentionKernel {
 public:
  PanelsKernel(std::int64_t head_size, const PanelKernel& panels)
      : AttentionKernel(head_size, kPanel),
        panels_(panels),
        steps_((head_size + kPanelStep - 1) / kPanelStep) {}

  std::int64_t block_rows() const override { return kPanel; }
  std::int64_t key_step() const override { return kPanel; }
  std::int64_t query_bytes() const override { return panel() * 2; }
  std::int64_t key_tile_bytes() const override { return kKeyTile / kPanel * panel() * 2; }
  std::int64_t value_tile_bytes() const override { return out_stride() * kKeyTile * 2; }

  // An A panel.
  void pack_queries(ConstFloatMatrix q, float scale, std::byte* out) const override {
    pack_a_panel(q, scale, as_bf16(out));
  }

  // B panels of 32 keys.
  void pack_keys(ConstFloatMatrix k, std::byte* out) const override {
    for (std::int64_t first = 0; first < k.rows; first += kPanel) {
      pack_b_panel(k.slice_rows(first, std::min(kPanel, k.rows - first)),
                   as_bf16(out) + first / kPanel * panel());
    }
  }

  // B panels of 32 columns, summed over the keys of the tile.
  void pack_values(ConstFloatMatrix v, std::byte* out) const override {
    for (std::int64_t c = 0; c < out_stride(); c += kPanel) {
      pack_b_panel_from_rows(v.slice_cols(c, std::min(kPanel, head_size() - c)),
                             as_bf16(out) + c * kKeyTile);
    }
  }

  void scores(const std::byte* queries, const std::byte* keys, BlockPart part,
              float* scores) const override {
    const PanelProducts products(panels_);
    for (std::int64_t j = part.columns.first; j < part.columns.last; j += kPanel) {
      products.multiply({as_bf16(queries), as_bf16(keys) + j / kPanel * panel(), steps_, nullptr, 0,
                         scores + j, kKeyTile, part.rows});
    }
  }

  void accumulate(const float* weights, const std::byte* values, BlockPart part,
                  const float* correction, float* out) const override {
    for (std::int64_t r = 0; r < part.rows; ++r) {
      float* row = out + r * out_stride();
      if (correction[r] != 1.0f) scale_row(row, correction[r], out_stride(), row);
    }
    const std::int64_t first = part.columns.first / kPanelStep;
    const std::int64_t steps = (part.columns.last + kPanelStep - 1) / kPanelStep - first;
    alignas(64) std::uint16_t packed[kPanel * kKeyTile];
    pack_a_panel({weights + first * kPanelStep, part.rows, steps * kPanelStep, kKeyTile}, 1.0f,
                 packed);
    const PanelProducts products(panels_);
    for (std::int64_t c = 0; c < out_stride(); c += kPanel) {
      products.multiply({packed, as_bf16(values) + c * kKeyTile + first * kPanelStepElements, steps,
                         out + c, out_stride(), out + c, out_stride(), part.rows});
    }
  }

 private:
  std::int64_t panel() const { return steps_ * kPanelStepElements; }

  const PanelKernel& panels_;
  std::int64_t steps_;  // of k in q · k
};

}  // namespace

std::unique_ptr<const AttentionKernel> attention_kernel_bf16(std::int64_t head_size,
                                                             const PanelKernel& panels) {
  return std::make_unique<PanelsKernel>(head_size, panels);
}

}  // namespace massact::ops::cpu
