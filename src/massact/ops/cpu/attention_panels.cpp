// bf16 products of attention on AMX or VDPBF16PS: 32 queries by 32 keys (or output columns) at a
// time.
#include <algorithm>

#include "massact/ops/cpu/attention_kernel.h"
#include "massact/ops/cpu/convert.h"
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
  std::int64_t query_bytes() const override { return panel() * 2; }
  std::int64_t key_tile_bytes() const override { return kKeyTile / kPanel * panel() * 2; }
  std::int64_t value_tile_bytes() const override { return out_stride() * kKeyTile * 2; }

  // An A panel.
  void pack_queries(ConstFloatMatrix q, float scale, std::byte* out) const override {
    static thread_local Buffer<float> scaled;
    scaled.reserve_discarding(kPanel * head_size());
    for (std::int64_t r = 0; r < q.rows; ++r) {
      scale_row(q.row(r), scale, head_size(), scaled.data() + r * head_size());
    }
    pack_a_panel(scaled.data(), head_size(), q.rows, head_size(), as_bf16(out));
  }

  // B panels of 32 keys.
  void pack_keys(ConstFloatMatrix k, std::byte* out) const override {
    static thread_local Buffer<std::uint16_t> rows;
    rows.reserve_discarding(kPanel * head_size());
    for (std::int64_t first = 0; first < kKeyTile; first += kPanel) {
      const std::int64_t count = std::clamp<std::int64_t>(k.rows - first, 0, kPanel);
      for (std::int64_t r = 0; r < count; ++r) {
        to_bfloat16(k.row(first + r), head_size(), rows.data() + r * head_size());
      }
      pack_b_panel(rows.data(), head_size(), count, head_size(),
                   as_bf16(out) + first / kPanel * panel());
    }
  }

  // B panels of 32 columns, summed over the keys of the tile.
  void pack_values(ConstFloatMatrix v, std::byte* out) const override {
    std::fill_n(as_bf16(out), out_stride() * kKeyTile, std::uint16_t{0});
    for (std::int64_t c = 0; c < out_stride(); c += kPanel) {
      pack_b_panel_from_rows(v.data + c, v.stride, v.rows, std::min(kPanel, head_size() - c),
                             as_bf16(out) + c * kKeyTile);
    }
  }

  void scores(const std::byte* queries, const std::byte* keys, Columns columns,
              float* scores) const override {
    const PanelProducts products(panels_);
    for (std::int64_t j = columns.first; j < columns.last; j += kPanel) {
      products.multiply({as_bf16(queries), as_bf16(keys) + j / kPanel * panel(), steps_, nullptr, 0,
                         scores + j, kKeyTile});
    }
  }

  void accumulate(const float* weights, const std::byte* values, Columns columns,
                  const float* correction, float* out) const override {
    for (std::int64_t r = 0; r < kPanel; ++r) {
      float* row = out + r * out_stride();
      if (correction[r] != 1.0f) scale_row(row, correction[r], out_stride(), row);
    }
    const std::int64_t first = columns.first / kPanelStep;
    const std::int64_t steps = (columns.last + kPanelStep - 1) / kPanelStep - first;
    alignas(64) std::uint16_t packed[kPanel * kKeyTile];
    pack_a_panel(weights + first * kPanelStep, kKeyTile, kPanel, steps * kPanelStep, packed);
    const PanelProducts products(panels_);
    for (std::int64_t c = 0; c < out_stride(); c += kPanel) {
      products.multiply({packed, as_bf16(values) + c * kKeyTile + first * kPanelStepElements, steps,
                         out + c, out_stride(), out + c, out_stride()});
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
