// Which instructions the fast paths may use: what the CPU has, capped by the user.
#pragma once

#include <cstdint>
#include <string_view>

namespace massact::ops {

/// Families of instruction sets, each containing the ones before it.
enum class CpuLevel : std::uint8_t {
  sse4,
  avx2,         ///< AVX2 and FMA
  avx512,       ///< AVX-512 F, BW, DQ, VL
  avx512_bf16,  ///< and VDPBF16PS
  amx           ///< and AMX-BF16, with the kernel's permission to use tile registers
};

std::string_view name_of(CpuLevel level);

/// The level in use: the CPU's, capped by the environment variable MASSACT_CPU (a name of the list
/// above) and by `limit_cpu_level`. Throws UsageError if MASSACT_CPU is not a level.
CpuLevel cpu_level();

/// Caps the level from now on, to test or compare paths. Call it while no other thread runs ops.
/// Matrices packed before keep their kernel; oneDNN takes the cap that holds at its first use.
void limit_cpu_level(CpuLevel level);

/// Reads MASSACT_CPU and restrains Highway to it. Runs before main wherever this header is
/// included, so that files with dispatched functions only need to include it.
bool apply_cpu_cap();
inline const bool kCpuCapApplied = apply_cpu_cap();

}  // namespace massact::ops
