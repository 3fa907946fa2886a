// f32 products of attention: micro-kernels of 6 queries by a few vectors of keys (or of output
// columns) whose sums stay in registers.
#include "massact/ops/cpu/attention_kernel.h"

#include <algorithm>

#include "massact/ops/cpu/features.h"  // its cap is applied before the first dispatch

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "massact/ops/cpu/attention_f32.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace massact::ops::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;

constexpr int kRows = 6;
// 6 x 4 sums fit 32 registers, 6 x 2 fit 16.
constexpr int kVectors = hn::MaxLanes(D()) >= 16 ? 4 : 2;

// Keys per panel; divides 64, the key step.
HWY_INLINE std::int64_t panel_width() {
  return kVectors * static_cast<std::int64_t>(hn::Lanes(D()));
}

// k [count][c] → panels [c][panel_width].
void PackKeys(ConstFloatMatrix k, float* out) {
  const std::int64_t width = panel_width(), c = k.cols;
  for (std::int64_t first = 0; first < kKeyTile; first += width) {
    float* panel = out + first * c;
    const std::int64_t keys = std::clamp<std::int64_t>(k.rows - first, 0, width);
    if (keys < width) std::fill_n(panel, c * width, 0.0f);
    for (std::int64_t j = 0; j < keys; ++j) {
      const float* row = k.row(first + j);
      for (std::int64_t i = 0; i < c; ++i) panel[i * width + j] = row[i];
    }
  }
}

// scores of 6 queries [c][6] against one panel [c][panel_width].
HWY_INLINE void score_panel(const float* HWY_RESTRICT q, const float* HWY_RESTRICT panel,
                            std::int64_t c, float* HWY_RESTRICT scores) {
  const D d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  V sums[kRows][kVectors];
  for (auto& row : sums) {
    for (V& sum : row) sum = hn::Zero(d);
  }
  for (std::int64_t i = 0; i < c; ++i) {
    V keys[kVectors];
    for (int v = 0; v < kVectors; ++v) keys[v] = hn::Load(d, panel + (i * kVectors + v) * lanes);
    for (int r = 0; r < kRows; ++r) {
      const V query = hn::Set(d, q[i * kRows + r]);
      for (int v = 0; v < kVectors; ++v) sums[r][v] = hn::MulAdd(query, keys[v], sums[r][v]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) hn::Store(sums[r][v], d, scores + r * kKeyTile + v * lanes);
  }
}

void Scores(const float* q, const float* keys, std::int64_t c, std::int64_t row_groups,
            Columns columns, float* scores) {
  const std::int64_t width = panel_width();
  for (std::int64_t j = columns.first; j < columns.last; j += width) {
    for (std::int64_t g = 0; g < row_groups; ++g) {
      score_panel(q + g * kRows * c, keys + j * c, c, scores + g * kRows * kKeyTile + j);
    }
  }
}

// 6 rows of kCount vectors of outputs.
template <int kCount>
HWY_INLINE void accumulate_columns(const float* HWY_RESTRICT weights,
                                   const float* HWY_RESTRICT values, std::int64_t stride,
                                   Columns keys, const float* HWY_RESTRICT correction,
                                   float* HWY_RESTRICT out) {
  const D d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  V sums[kRows][kCount];
  for (int r = 0; r < kRows; ++r) {
    const V factor = hn::Set(d, correction[r]);
    for (int v = 0; v < kCount; ++v) {
      sums[r][v] = hn::Mul(factor, hn::Load(d, out + r * stride + v * lanes));
    }
  }
  for (std::int64_t j = keys.first; j < keys.last; ++j) {
    V value[kCount];
    for (int v = 0; v < kCount; ++v) value[v] = hn::Load(d, values + j * stride + v * lanes);
    for (int r = 0; r < kRows; ++r) {
      const V weight = hn::Set(d, weights[r * kKeyTile + j]);
      for (int v = 0; v < kCount; ++v) sums[r][v] = hn::MulAdd(weight, value[v], sums[r][v]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kCount; ++v) hn::Store(sums[r][v], d, out + r * stride + v * lanes);
  }
}

void Accumulate(const float* weights, const float* values, std::int64_t stride,
                std::int64_t row_groups, Columns keys, const float* correction, float* out) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(D()));
  for (std::int64_t g = 0; g < row_groups; ++g) {
    const float* w = weights + g * kRows * kKeyTile;
    const float* factors = correction + g * kRows;
    float* rows = out + g * kRows * stride;
    std::int64_t c = 0;
    for (; c + kVectors * lanes <= stride; c += kVectors * lanes) {
      accumulate_columns<kVectors>(w, values + c, stride, keys, factors, rows + c);
    }
    for (; c < stride; c += lanes) {
      accumulate_columns<1>(w, values + c, stride, keys, factors, rows + c);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace massact::ops::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace massact::ops::cpu {
namespace {

HWY_EXPORT(PackKeys);
HWY_EXPORT(Scores);
HWY_EXPORT(Accumulate);

constexpr std::int64_t kGroupRows = 6;
constexpr std::int64_t kGroups = 4;
constexpr std::int64_t kKeyStep = 64;  // whole panels on every CPU

const float* as_floats(const std::byte* p) { return reinterpret_cast<const float*>(p); }
float* as_floats(std::byte* p) { return reinterpret_cast<float*>(p); }

class F32Kernel : public AttentionKernel {
 public:
  explicit F32Kernel(std::int64_t head_size) : AttentionKernel(head_size, 16) {}

  std::int64_t block_rows() const override { return kGroups * kGroupRows; }
  std::int64_t key_step() const override { return kKeyStep; }
  std::int64_t query_bytes() const override { return block_rows() * head_size() * 4; }
  std::int64_t key_tile_bytes() const override { return kKeyTile * head_size() * 4; }
  std::int64_t value_tile_bytes() const override { return kKeyTile * out_stride() * 4; }

  // Groups of 6 queries, each [c][6].
  void pack_queries(ConstFloatMatrix q, float scale, std::byte* out) const override {
    float* packed = as_floats(out);
    for (std::int64_t r = 0; r < block_rows(); ++r) {
      float* column = packed + r / kGroupRows * kGroupRows * head_size() + r % kGroupRows;
      for (std::int64_t i = 0; i < head_size(); ++i) {
        column[i * kGroupRows] = r < q.rows ? q(r, i) * scale : 0.0f;
      }
    }
  }

  void pack_keys(ConstFloatMatrix k, std::byte* out) const override {
    HWY_DYNAMIC_DISPATCH(PackKeys)(k, as_floats(out));
  }

  // Rows of out_stride() floats.
  void pack_values(ConstFloatMatrix v, std::byte* out) const override {
    float* packed = as_floats(out);
    const std::int64_t stride = out_stride();
    for (std::int64_t j = 0; j < v.rows; ++j) {
      std::copy_n(v.row(j), head_size(), packed + j * stride);
      std::fill_n(packed + j * stride + head_size(), stride - head_size(), 0.0f);
    }
    std::fill_n(packed + v.rows * stride, (kKeyTile - v.rows) * stride, 0.0f);
  }

  void scores(const std::byte* queries, const std::byte* keys, BlockPart part,
              float* scores) const override {
    HWY_DYNAMIC_DISPATCH(Scores)
    (as_floats(queries), as_floats(keys), head_size(), groups(part), part.columns, scores);
  }

  void accumulate(const float* weights, const std::byte* values, BlockPart part,
                  const float* correction, float* out) const override {
    HWY_DYNAMIC_DISPATCH(Accumulate)
    (weights, as_floats(values), out_stride(), groups(part), part.columns, correction, out);
  }

 private:
  static std::int64_t groups(const BlockPart& part) {
    return (part.rows + kGroupRows - 1) / kGroupRows;
  }
};

}  // namespace

std::unique_ptr<const AttentionKernel> attention_kernel_f32(std::int64_t head_size) {
  return std::make_unique<F32Kernel>(head_size);
}

}  // namespace massact::ops::cpu
#endif
