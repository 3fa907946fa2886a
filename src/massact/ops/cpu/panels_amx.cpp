// Panels multiplied by AMX-BF16: a block's four 16x16 parts stay in tile registers over all steps.
#include <immintrin.h>

#include "massact/ops/cpu/panels.h"

// An attribute, not a flag for the file: see panels.cpp.
#define MASSACT_AMX \
  __attribute__((target("amx-tile,amx-bf16,avx512f,avx512bw,avx512vl,avx512bf16")))

namespace massact::ops::cpu {
namespace {

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

MASSACT_AMX void multiply_tiles(const PanelBlock& block) {
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
    _tile_loadd(7, b + kPanelTile, 64);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, a + kPanelTile, 64);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
    prefetch(next_a + step * bytes_a, bytes_a);
    prefetch(next_b + step * bytes_b, bytes_b);
    a += kPanelStepElements;
    b += kPanelStepElements;
  }
  const std::int64_t stride = block.out_stride * 4;
  float* const below = block.out + 16 * block.out_stride;
  _tile_stored(0, block.out, stride);
  _tile_stored(1, block.out + 16, stride);
  _tile_stored(2, below, stride);
  _tile_stored(3, below + 16, stride);
}

MASSACT_AMX void multiply_registers(std::int64_t steps) {
  for (std::int64_t step = 0; step < steps; ++step) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
}

// Computes all rows: a tile's products take the same time whatever is wanted of them.
class AmxKernel : public PanelKernel {
 public:
  void multiply(const PanelBlock& block) const override { multiply_tiles(block); }
  void register_products(std::int64_t steps) const override { multiply_registers(steps); }

 private:
  void enter() const override { configure_tiles(); }
  void leave() const override { release_tiles(); }
};

}  // namespace

const PanelKernel& amx_panel_kernel() {
  static const AmxKernel kernel;
  return kernel;
}

}  // namespace massact::ops::cpu
