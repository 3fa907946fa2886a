// Packing of panels, and the choice of what multiplies them. Functions carry their instruction sets
// as attributes: compiler flags for the file would also change inline functions that other files
// share.
#include "massact/ops/cpu/panels.h"

#include <immintrin.h>

#include <algorithm>

#include "massact/ops/cpu/features.h"

#define MASSACT_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))

namespace massact::ops::cpu {
namespace {

// 16 x 16 values of 32 bits: pairs of rows, then quadruples, then 128-bit lanes.
MASSACT_AVX512 inline void transpose_16x16(__m512i* rows) {
  __m512i t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    rows[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    rows[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    rows[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    rows[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_i32x4(rows[i], rows[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(rows[i], rows[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_i32x4(rows[i + 8], rows[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(rows[i + 8], rows[i + 12], 0xdd);
  }
  for (int i = 0; i < 8; ++i) {
    rows[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
    rows[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
  }
}

// 32 values, or the first `left` and zeros, times `factor`, in bf16.
MASSACT_AVX512 inline __m512i load_bf16(const float* x, std::int64_t left, __m512 factor) {
  const auto mask = static_cast<std::uint32_t>((std::uint64_t{1} << left) - 1);
  const __m512 low = _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask), x);
  const __m512 high = _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask >> 16), x + 16);
  const __m512bh both =
      _mm512_cvtne2ps_pbh(_mm512_mul_ps(high, factor), _mm512_mul_ps(low, factor));
  return reinterpret_cast<const __m512i&>(both);
}

// A B panel from load(output, k, left): 32 values of k of an output, zeros after the first `left`.
template <class Load>
MASSACT_AVX512 inline void pack_outputs(std::int64_t count, std::uint16_t* panel,
                                        const Load& load) {
  const std::int64_t steps = (count + kPanelStep - 1) / kPanelStep;
  for (std::int64_t step = 0; step < steps; ++step, panel += kPanelStepElements) {
    const std::int64_t k = step * kPanelStep, left = std::min(kPanelStep, count - k);
    for (std::int64_t tile = 0; tile < 2; ++tile) {
      // A transposition of 16 outputs by 16 pairs of k.
      __m512i rows[16];
      for (std::int64_t o = 0; o < 16; ++o) rows[o] = load(tile * 16 + o, k, left);
      transpose_16x16(rows);
      for (std::int64_t pair = 0; pair < 16; ++pair) {
        _mm512_store_si512(panel + tile * kPanelTile + pair * 32, rows[pair]);
      }
    }
  }
}

}  // namespace

const PanelKernel* panel_kernel() {
  if (cpu_level() == CpuLevel::amx) return &amx_panel_kernel();
  return cpu_level() == CpuLevel::avx512_bf16 ? &avx512_panel_kernel() : nullptr;
}

MASSACT_AVX512 void pack_a_panel(ConstFloatMatrix x, float scale, std::uint16_t* panel) {
  const std::int64_t steps = (x.cols + kPanelStep - 1) / kPanelStep;
  const __m512 factor = _mm512_set1_ps(scale);
  for (std::int64_t r = 0; r < kPanel; ++r) {
    std::uint16_t* out = panel + r * kPanelStep;  // the second tile follows the first
    const float* row = x.row(r);
    for (std::int64_t step = 0; step < steps; ++step, out += kPanelStepElements) {
      const std::int64_t left = r < x.rows ? std::min(kPanelStep, x.cols - step * kPanelStep) : 0;
      _mm512_store_si512(out, load_bf16(row + step * kPanelStep, left, factor));
    }
  }
}

MASSACT_AVX512 void pack_b_panel(const std::uint16_t* w, std::int64_t stride, std::int64_t outputs,
                                 std::int64_t count, std::uint16_t* panel) {
  pack_outputs(count, panel,
               [&](std::int64_t output, std::int64_t k, std::int64_t left) MASSACT_AVX512 {
                 const auto mask = static_cast<__mmask32>((std::uint64_t{1} << left) - 1);
                 return output < outputs ? _mm512_maskz_loadu_epi16(mask, w + output * stride + k)
                                         : _mm512_setzero_si512();
               });
}

MASSACT_AVX512 void pack_b_panel(ConstFloatMatrix w, std::uint16_t* panel) {
  const __m512 one = _mm512_set1_ps(1.0f);
  pack_outputs(
      w.cols, panel, [&](std::int64_t output, std::int64_t k, std::int64_t left) MASSACT_AVX512 {
        return output < w.rows ? load_bf16(w.row(output) + k, left, one) : _mm512_setzero_si512();
      });
}

MASSACT_AVX512 void pack_b_panel_from_rows(ConstFloatMatrix x, std::uint16_t* panel) {
  const std::int64_t steps = (x.rows + kPanelStep - 1) / kPanelStep;
  const auto bf16_bits = [&](std::int64_t row, std::int64_t column) MASSACT_AVX512 {
    const std::int64_t left = row < x.rows ? std::clamp<std::int64_t>(x.cols - column, 0, 16) : 0;
    const auto mask = static_cast<__mmask16>((1u << left) - 1);
    const __m256bh half = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, x.row(row) + column));
    return _mm512_cvtepu16_epi32(reinterpret_cast<const __m256i&>(half));
  };
  for (std::int64_t step = 0; step < steps; ++step, panel += kPanelStepElements) {
    for (std::int64_t tile = 0; tile < 2; ++tile) {
      for (std::int64_t pair = 0; pair < 16; ++pair) {
        const std::int64_t row = step * kPanelStep + 2 * pair;
        const __m512i first = bf16_bits(row, tile * 16), second = bf16_bits(row + 1, tile * 16);
        _mm512_store_si512(panel + tile * kPanelTile + pair * 32,
                           _mm512_or_si512(first, _mm512_slli_epi32(second, 16)));
      }
    }
  }
}

}  // namespace massact::ops::cpu
