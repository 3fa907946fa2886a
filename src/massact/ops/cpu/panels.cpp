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

constexpr std::int64_t kTile = 512;  // elements

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

}  // namespace

const PanelKernel* panel_kernel() {
  if (cpu_level() == CpuLevel::amx) return &amx_panel_kernel();
  return cpu_level() == CpuLevel::avx512_bf16 ? &avx512_panel_kernel() : nullptr;
}

MASSACT_AVX512 void pack_a_panel(const float* x, std::int64_t stride, std::int64_t rows,
                                 std::int64_t count, std::uint16_t* panel) {
  const std::int64_t steps = (count + kPanelStep - 1) / kPanelStep;
  for (std::int64_t r = 0; r < kPanel; ++r) {
    std::uint16_t* out = panel + r * kPanelStep;  // the second tile follows the first
    const float* row = x + r * stride;
    for (std::int64_t step = 0; step < steps; ++step, out += kPanelStepElements) {
      const std::int64_t left = r < rows ? std::min(kPanelStep, count - step * kPanelStep) : 0;
      const auto mask = static_cast<std::uint32_t>((std::uint64_t{1} << left) - 1);
      const __m512 low =
          _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask), row + step * kPanelStep);
      const __m512 high =
          _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask >> 16), row + step * kPanelStep + 16);
      const __m512bh both = _mm512_cvtne2ps_pbh(high, low);
      _mm512_store_si512(out, reinterpret_cast<const __m512i&>(both));
    }
  }
}

MASSACT_AVX512 void pack_b_panel(const std::uint16_t* w, std::int64_t stride, std::int64_t outputs,
                                 std::int64_t count, std::uint16_t* panel) {
  const std::int64_t steps = (count + kPanelStep - 1) / kPanelStep;
  for (std::int64_t step = 0; step < steps; ++step, panel += kPanelStepElements) {
    const std::int64_t left = std::min(kPanelStep, count - step * kPanelStep);
    const auto mask = static_cast<__mmask32>((std::uint64_t{1} << left) - 1);
    for (std::int64_t tile = 0; tile < 2; ++tile) {
      // A transposition of 16 outputs by 16 pairs of k.
      __m512i rows[16];
      for (std::int64_t o = 0; o < 16; ++o) {
        const std::int64_t output = tile * 16 + o;
        rows[o] = output < outputs
                      ? _mm512_maskz_loadu_epi16(mask, w + output * stride + step * kPanelStep)
                      : _mm512_setzero_si512();
      }
      transpose_16x16(rows);
      for (std::int64_t pair = 0; pair < 16; ++pair) {
        _mm512_store_si512(panel + tile * kTile + pair * 32, rows[pair]);
      }
    }
  }
}

MASSACT_AVX512 void pack_b_panel_from_rows(const float* x, std::int64_t stride, std::int64_t rows,
                                           std::int64_t columns, std::uint16_t* panel) {
  const std::int64_t steps = (rows + kPanelStep - 1) / kPanelStep;
  const auto bf16_bits = [&](std::int64_t row, std::int64_t column) MASSACT_AVX512 {
    const std::int64_t left = row < rows ? std::clamp<std::int64_t>(columns - column, 0, 16) : 0;
    const auto mask = static_cast<__mmask16>((1u << left) - 1);
    const __m256bh half =
        _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, x + row * stride + column));
    return _mm512_cvtepu16_epi32(reinterpret_cast<const __m256i&>(half));
  };
  for (std::int64_t step = 0; step < steps; ++step, panel += kPanelStepElements) {
    for (std::int64_t tile = 0; tile < 2; ++tile) {
      for (std::int64_t pair = 0; pair < 16; ++pair) {
        const std::int64_t row = step * kPanelStep + 2 * pair;
        const __m512i first = bf16_bits(row, tile * 16), second = bf16_bits(row + 1, tile * 16);
        _mm512_store_si512(panel + tile * kTile + pair * 32,
                           _mm512_or_si512(first, _mm512_slli_epi32(second, 16)));
      }
    }
  }
}

}  // namespace massact::ops::cpu
