// AMX-BF16 building blocks: 32x32 blocks of C from panels of tiles. All functions need
// cpu_level() == CpuLevel::amx.
//
// A tile is 16 rows of 64 bytes. A panel of `steps` k-steps (32 elements of k each) is a sequence
// of [step][2 tiles]: for A the tiles hold 16 rows of x, 32 consecutive k; for B they hold 16 pairs
// of k, 16 outputs times 2 (the layout TDPBF16PS wants).
#pragma once

#include <cstdint>

namespace massact::ops::cpu {

constexpr std::int64_t kAmxStep = 32;   ///< k per step
constexpr std::int64_t kAmxPanel = 32;  ///< rows of A, outputs of B, per panel
constexpr std::int64_t kAmxStepElements = kAmxStep * kAmxPanel;  ///< of one step of a panel

/// Memory to be brought into the L2 cache while a block is computed.
struct AmxPrefetch {
  const void* first = nullptr;
  std::int64_t bytes_per_step = 0;
};

/// Keeps the tiles configured while it lives, in the thread that made it.
class AmxTiles {
 public:
  AmxTiles();
  ~AmxTiles();
  AmxTiles(const AmxTiles&) = delete;
  AmxTiles& operator=(const AmxTiles&) = delete;
};

/// out[32][32] = (c +) panel a · panel bᵀ.
struct AmxBlock {
  const std::uint16_t* a = nullptr;
  const std::uint16_t* b = nullptr;
  std::int64_t steps = 0;
  const float* c = nullptr;  ///< the sum so far, or null
  std::int64_t c_stride = kAmxPanel;
  float* out = nullptr;  ///< may be c
  std::int64_t out_stride = kAmxPanel;
  AmxPrefetch prefetch_a, prefetch_b;
};
void amx_multiply(const AmxBlock& block);

/// Rows of f32 → one A panel: 32 rows (missing ones zero), `count` values of k from `x`, padded
/// with zeros to whole steps.
void amx_pack_a(const float* x, std::int64_t stride, std::int64_t rows, std::int64_t count,
                std::uint16_t* panel);

/// Rows of bf16 weights → one B panel: 32 outputs (missing ones zero), `count` values of k.
void amx_pack_b(const std::uint16_t* w, std::int64_t stride, std::int64_t outputs,
                std::int64_t count, std::uint16_t* panel);

/// Rows of f32 that are summed over, in pairs → one B panel: 32 columns (missing ones zero), `rows`
/// values of k.
void amx_pack_b_from_rows(const float* x, std::int64_t stride, std::int64_t rows,
                          std::int64_t columns, std::uint16_t* panel);

/// `steps` times the products of a step of a 32x32 block, on registers alone: the speed limit that
/// benchmarks compare with.
void amx_register_products(std::int64_t steps);

}  // namespace massact::ops::cpu
