// Functions carry their instruction sets as attributes: compiler flags for the file would also
// change inline functions that other files share.
#include "massact/ops/cpu/amx_kernels.h"

#include <immintrin.h>

#include <algorithm>

#define MASSACT_AMX \
  __attribute__((target("amx-tile,amx-bf16,avx512f,avx512bw,avx512vl,avx512bf16")))

namespace massact::ops::cpu {
namespace {

constexpr std::int64_t kTile = 512;  // elements

struct alignas(64) TileConfig {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};

  TileConfig() {
    for (int tile = 0; tile < 8; ++tile) {
      row_bytes[tile] = 64;
      rows[tile] = 16;
    }
  }
};

MASSACT_AMX void configure_tiles() {
  static const TileConfig config;
  _tile_loadconfig(&config);
}

MASSACT_AMX void release_tiles() { _tile_release(); }

MASSACT_AMX inline void prefetch(const char* p, std::int64_t bytes) {
  for (std::int64_t i = 0; i < bytes; i += 64) _mm_prefetch(p + i, _MM_HINT_T1);
}

// 16 x 16 values of 32 bits: pairs of rows, then quadruples, then 128-bit lanes.
MASSACT_AMX inline void transpose_16x16(__m512i* rows) {
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

AmxTiles::AmxTiles() { configure_tiles(); }

AmxTiles::~AmxTiles() { release_tiles(); }

MASSACT_AMX void amx_multiply(const AmxBlock& block) {
  if (block.c != nullptr) {
    const std::int64_t stride = block.c_stride * 4;
    const float* const below = block.c + 16 * block.c_stride;
    _tile_loadd(0, block.c, stride);
    _tile_loadd(1, block.c + 16, stride);
    _tile_loadd(2, below, stride);
    _tile_loadd(3, below + 16, stride);
  } else {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  const std::uint16_t *a = block.a, *b = block.b;
  const auto* next_a = static_cast<const char*>(block.prefetch_a.first);
  const auto* next_b = static_cast<const char*>(block.prefetch_b.first);
  const std::int64_t bytes_a = block.prefetch_a.bytes_per_step;
  const std::int64_t bytes_b = block.prefetch_b.bytes_per_step;
  for (std::int64_t step = 0; step < block.steps; ++step) {
    _tile_loadd(4, a, 64);
    _tile_loadd(6, b, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, b + kTile, 64);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, a + kTile, 64);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
    prefetch(next_a + step * bytes_a, bytes_a);
    prefetch(next_b + step * bytes_b, bytes_b);
    a += kAmxStepElements;
    b += kAmxStepElements;
  }
  const std::int64_t stride = block.out_stride * 4;
  float* const below = block.out + 16 * block.out_stride;
  _tile_stored(0, block.out, stride);
  _tile_stored(1, block.out + 16, stride);
  _tile_stored(2, below, stride);
  _tile_stored(3, below + 16, stride);
}

MASSACT_AMX void amx_register_products(std::int64_t steps) {
  for (std::int64_t step = 0; step < steps; ++step) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
}

MASSACT_AMX void amx_pack_a(const float* x, std::int64_t stride, std::int64_t rows,
                            std::int64_t count, std::uint16_t* panel) {
  const std::int64_t steps = (count + kAmxStep - 1) / kAmxStep;
  for (std::int64_t r = 0; r < kAmxPanel; ++r) {
    std::uint16_t* out = panel + r * kAmxStep;  // the second tile follows the first
    const float* row = x + r * stride;
    for (std::int64_t step = 0; step < steps; ++step, out += kAmxStepElements) {
      const std::int64_t left = r < rows ? std::min(kAmxStep, count - step * kAmxStep) : 0;
      const auto mask = static_cast<std::uint32_t>((std::uint64_t{1} << left) - 1);
      const __m512 low = _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask), row + step * kAmxStep);
      const __m512 high =
          _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask >> 16), row + step * kAmxStep + 16);
      const __m512bh both = _mm512_cvtne2ps_pbh(high, low);
      _mm512_store_si512(out, reinterpret_cast<const __m512i&>(both));
    }
  }
}

MASSACT_AMX void amx_pack_b(const std::uint16_t* w, std::int64_t stride, std::int64_t outputs,
                            std::int64_t count, std::uint16_t* panel) {
  const std::int64_t steps = (count + kAmxStep - 1) / kAmxStep;
  for (std::int64_t step = 0; step < steps; ++step, panel += kAmxStepElements) {
    const std::int64_t left = std::min(kAmxStep, count - step * kAmxStep);
    const auto mask = static_cast<__mmask32>((std::uint64_t{1} << left) - 1);
    for (std::int64_t tile = 0; tile < 2; ++tile) {
      // A transposition of 16 outputs by 16 pairs of k.
      __m512i rows[16];
      for (std::int64_t o = 0; o < 16; ++o) {
        const std::int64_t output = tile * 16 + o;
        rows[o] = output < outputs
                      ? _mm512_maskz_loadu_epi16(mask, w + output * stride + step * kAmxStep)
                      : _mm512_setzero_si512();
      }
      transpose_16x16(rows);
      for (std::int64_t pair = 0; pair < 16; ++pair) {
        _mm512_store_si512(panel + tile * kTile + pair * 32, rows[pair]);
      }
    }
  }
}

MASSACT_AMX void amx_pack_b_from_rows(const float* x, std::int64_t stride, std::int64_t rows,
                                      std::int64_t columns, std::uint16_t* panel) {
  const std::int64_t steps = (rows + kAmxStep - 1) / kAmxStep;
  const auto bf16_bits = [&](std::int64_t row, std::int64_t column) MASSACT_AMX {
    const std::int64_t left = row < rows ? std::clamp<std::int64_t>(columns - column, 0, 16) : 0;
    const auto mask = static_cast<__mmask16>((1u << left) - 1);
    const __m256bh half =
        _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, x + row * stride + column));
    return _mm512_cvtepu16_epi32(reinterpret_cast<const __m256i&>(half));
  };
  for (std::int64_t step = 0; step < steps; ++step, panel += kAmxStepElements) {
    for (std::int64_t tile = 0; tile < 2; ++tile) {
      for (std::int64_t pair = 0; pair < 16; ++pair) {
        const std::int64_t row = step * kAmxStep + 2 * pair;
        const __m512i first = bf16_bits(row, tile * 16), second = bf16_bits(row + 1, tile * 16);
        _mm512_store_si512(panel + tile * kTile + pair * 32,
                           _mm512_or_si512(first, _mm512_slli_epi32(second, 16)));
      }
    }
  }
}

}  // namespace massact::ops::cpu
