// AMX in software, forced (-include) into the files of `ops` that know of it: its path then runs,
// slowly, on any CPU with AVX512-BF16. Tiles: Intel's Software Developer's Manual, volume 2.
#pragma once

#include <cpuid.h>
#include <immintrin.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace emulated_amx {

struct Tiles {
  unsigned char bytes[8][16 * 64];
  bool configured;
};
inline thread_local Tiles tiles{};
inline std::atomic<long> products{0};  ///< TDPBF16PS so far

inline void require_configured() {
  if (!tiles.configured) std::abort();  // the CPU would raise #UD
}

inline void load(int tile, const void* from, std::int64_t stride) {
  require_configured();
  for (int row = 0; row < 16; ++row) {
    std::memcpy(tiles.bytes[tile] + row * 64, static_cast<const char*>(from) + row * stride, 64);
  }
}

inline void store(int tile, void* to, std::int64_t stride) {
  require_configured();
  for (int row = 0; row < 16; ++row) {
    std::memcpy(static_cast<char*>(to) + row * stride, tiles.bytes[tile] + row * 64, 64);
  }
}

inline float value_of(std::uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

// c[m][n] += Σ over pairs of a[m][pair] · b[pair][n], 16 of each.
inline void multiply(int c, int a, int b) {
  require_configured();
  ++products;
  float sums[16][16];
  std::uint32_t left[16][16], right[16][16];
  std::memcpy(sums, tiles.bytes[c], sizeof(sums));
  std::memcpy(left, tiles.bytes[a], sizeof(left));
  std::memcpy(right, tiles.bytes[b], sizeof(right));
  for (int m = 0; m < 16; ++m) {
    for (int pair = 0; pair < 16; ++pair) {
      const float low = value_of(left[m][pair] << 16), high = value_of(left[m][pair] & 0xffff0000u);
      for (int n = 0; n < 16; ++n) {
        sums[m][n] += low * value_of(right[pair][n] << 16);
        sums[m][n] += high * value_of(right[pair][n] & 0xffff0000u);
      }
    }
  }
  std::memcpy(tiles.bytes[c], sums, sizeof(sums));
}

inline void clear(int tile) {
  require_configured();
  std::memset(tiles.bytes[tile], 0, sizeof(tiles.bytes[tile]));
}

// The system's permission to use tiles.
inline long permit(long, long, long) { return 0; }

// The real CPU's answer, and AMX-BF16 and AMX-TILE (leaf 7: edx bits 22 and 24).
inline int cpuid(unsigned leaf, unsigned part, unsigned* a, unsigned* b, unsigned* c, unsigned* d) {
  const int known = __get_cpuid_count(leaf, part, a, b, c, d);
  if (leaf == 7 && part == 0) *d |= 1u << 22 | 1u << 24;
  return known;
}

}  // namespace emulated_amx

#undef _tile_loadd
#undef _tile_stored
#undef _tile_zero
#undef _tile_dpbf16ps
#undef _tile_loadconfig
#undef _tile_release
#define _tile_loadd(tile, from, stride) emulated_amx::load(tile, from, stride)
#define _tile_stored(tile, to, stride) emulated_amx::store(tile, to, stride)
#define _tile_zero(tile) emulated_amx::clear(tile)
#define _tile_dpbf16ps(c, a, b) emulated_amx::multiply(c, a, b)
#define _tile_loadconfig(config) (static_cast<void>(config), emulated_amx::tiles.configured = true)
#define _tile_release() (emulated_amx::tiles.configured = false)
#define __get_cpuid_count(...) emulated_amx::cpuid(__VA_ARGS__)
#define syscall(...) emulated_amx::permit(__VA_ARGS__)
