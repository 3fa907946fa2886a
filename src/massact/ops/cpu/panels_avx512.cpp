// Panels multiplied by VDPBF16PS: up to 12 rows by 32 outputs stay in registers over all steps.
#include <immintrin.h>

#include <array>
#include <cstring>
#include <utility>

#include "massact/ops/cpu/panels.h"

// An attribute, not a flag for the file: see panels.cpp.
#define MASSACT_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))

namespace massact::ops::cpu {
namespace {

constexpr std::int64_t kPairs = 16;  // of k per step
constexpr std::int64_t kMostRows =
    12;  // 24 sums, two vectors of B and one of A: 27 of 32 registers

MASSACT_AVX512 inline void prefetch(const PanelPrefetch& next, std::int64_t step) {
  const char* const p = static_cast<const char*>(next.first) + step * next.bytes_per_step;
  for (std::int64_t i = 0; i < next.bytes_per_step; i += 64) _mm_prefetch(p + i, _MM_HINT_T1);
}

// A pair of k in all lanes.
MASSACT_AVX512 inline __m512bh broadcast(const std::uint16_t* pair) {
  int bits = 0;
  std::memcpy(&bits, pair, sizeof(bits));
  const __m512i all = _mm512_set1_epi32(bits);
  return reinterpret_cast<const __m512bh&>(all);
}

MASSACT_AVX512 inline __m512bh load_pairs(const std::uint16_t* p) {
  const __m512i bits = _mm512_load_si512(p);
  return reinterpret_cast<const __m512bh&>(bits);
}

// Rows [first, first + kRows) of the block. Loops over rows and vectors must be unrolled.
template <std::int64_t kRows>
MASSACT_AVX512 void multiply_rows(const PanelBlock& block, std::int64_t first) {
  __m512 sums[kRows][2];
#pragma GCC unroll 16
  for (std::int64_t r = 0; r < kRows; ++r) {
    const float* const c = block.c + (first + r) * block.c_stride;
    sums[r][0] = block.c != nullptr ? _mm512_loadu_ps(c) : _mm512_setzero_ps();
    sums[r][1] = block.c != nullptr ? _mm512_loadu_ps(c + 16) : _mm512_setzero_ps();
  }
  const std::uint16_t *a = block.a + first * kPanelStep, *b = block.b;
  for (std::int64_t step = 0; step < block.steps; ++step) {
    if (first == 0) {
      prefetch(block.prefetch_a, step);
      prefetch(block.prefetch_b, step);
    }
    for (std::int64_t pair = 0; pair < kPairs; ++pair) {
      const __m512bh b0 = load_pairs(b + pair * 32), b1 = load_pairs(b + kPanelTile + pair * 32);
#pragma GCC unroll 16
      for (std::int64_t r = 0; r < kRows; ++r) {
        const __m512bh x = broadcast(a + r * kPanelStep + pair * 2);
        sums[r][0] = _mm512_dpbf16_ps(sums[r][0], x, b0);
        sums[r][1] = _mm512_dpbf16_ps(sums[r][1], x, b1);
      }
    }
    a += kPanelStepElements;
    b += kPanelStepElements;
  }
#pragma GCC unroll 16
  for (std::int64_t r = 0; r < kRows; ++r) {
    float* const out = block.out + (first + r) * block.out_stride;
    _mm512_storeu_ps(out, sums[r][0]);
    _mm512_storeu_ps(out + 16, sums[r][1]);
  }
}

using RowsFunction = void (*)(const PanelBlock&, std::int64_t);

template <std::size_t... kIndices>
constexpr std::array<RowsFunction, kMostRows> rows_functions(std::index_sequence<kIndices...>) {
  return {multiply_rows<static_cast<std::int64_t>(kIndices) + 1>...};
}

// [i]: of i + 1 rows.
constexpr auto kRowsFunctions = rows_functions(std::make_index_sequence<kMostRows>());

MASSACT_AVX512 void multiply_registers(std::int64_t steps) {
  constexpr int kSums = 16;
  __m512 sums[kSums];
  for (__m512& sum : sums) sum = _mm512_setzero_ps();
  const __m512i bits = _mm512_set1_epi32(0x3f803f80);
  const __m512bh ones = reinterpret_cast<const __m512bh&>(bits);
  // 32 x 32 x 32 products, as a step of a block.
  for (std::int64_t i = 0; i < steps * kPanel * kPanel * kPanelStep / (kSums * 32); ++i) {
#pragma GCC unroll 16
    for (__m512& sum : sums) sum = _mm512_dpbf16_ps(sum, ones, ones);
  }
  __m512 total = sums[0];
  for (int i = 1; i < kSums; ++i) total = _mm512_add_ps(total, sums[i]);
  volatile float sink = _mm512_cvtss_f32(total);
  static_cast<void>(sink);
}

class Avx512Kernel : public PanelKernel {
 public:
  void multiply(const PanelBlock& block) const override {
    const std::int64_t groups = (block.rows + kMostRows - 1) / kMostRows;
    for (std::int64_t first = 0, group = 0; group < groups; ++group) {
      const std::int64_t left = groups - group;
      const std::int64_t rows = (block.rows - first + left - 1) / left;  // as equal as can be
      kRowsFunctions[static_cast<std::size_t>(rows - 1)](block, first);
      first += rows;
    }
  }
  void register_products(std::int64_t steps) const override { multiply_registers(steps); }
};

}  // namespace

const PanelKernel& avx512_panel_kernel() {
  static const Avx512Kernel kernel;
  return kernel;
}

}  // namespace massact::ops::cpu
