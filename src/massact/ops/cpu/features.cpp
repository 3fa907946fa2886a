#include "massact/ops/cpu/features.h"

#include <cpuid.h>
#include <hwy/targets.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>

#include "massact/base/error.h"

namespace massact::ops {
namespace {

constexpr std::array<std::string_view, 5> kNames = {"sse4", "avx2", "avx512", "avx512_bf16", "amx"};

// Linux grants the 8 KiB of tile state per thread on request only, for the whole process.
bool request_tile_permission() {
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;               // XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

// __builtin_cpu_supports of GCC 12 knows neither AMX nor (reliably) AVX512-BF16.
bool leaf7_edx_bit(int bit) {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && ((edx >> bit) & 1u) != 0;
}

bool leaf7_1_eax_bit(int bit) {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && ((eax >> bit) & 1u) != 0;
}

CpuLevel detect() {
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return CpuLevel::sse4;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl")) {
    return CpuLevel::avx2;
  }
  constexpr int kAvx512Bf16 = 5, kAmxBf16 = 22, kAmxTile = 24;
  if (!leaf7_1_eax_bit(kAvx512Bf16)) return CpuLevel::avx512;
  if (!leaf7_edx_bit(kAmxBf16) || !leaf7_edx_bit(kAmxTile) || !request_tile_permission()) {
    return CpuLevel::avx512_bf16;
  }
  return CpuLevel::amx;
}

std::optional<CpuLevel> parse(std::string_view name) {
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<CpuLevel>(found - kNames.begin());
}

// Highway chooses its target by itself; take from it what the cap forbids.
void cap_highway(CpuLevel level) {
  std::int64_t disabled = 0;
  if (level < CpuLevel::avx512) disabled |= HWY_AVX3 | HWY_AVX3_DL;
  if (level < CpuLevel::avx2) disabled |= HWY_AVX2;
  hwy::DisableTargets(disabled);
  hwy::GetChosenTarget().DeInit();
}

struct State {
  CpuLevel level = detect();
  const char* requested = std::getenv("MASSACT_CPU");
  bool valid = true;

  State() {
    if (requested == nullptr || *requested == '\0') return;
    const auto cap = parse(requested);
    valid = cap.has_value();
    if (valid) level = std::min(level, *cap);
    cap_highway(level);
  }
};

State& state() {
  static State the_state;
  return the_state;
}

}  // namespace

std::string_view name_of(CpuLevel level) { return kNames[static_cast<std::size_t>(level)]; }

bool apply_cpu_cap() {
  state();
  return true;
}

CpuLevel cpu_level() {
  const State& s = state();
  if (!s.valid) {
    fail_usage("MASSACT_CPU", "expected one of {}, got \"{}\"", fmt::join(kNames, ", "),
               s.requested);
  }
  return s.level;
}

void limit_cpu_level(CpuLevel level) {
  State& s = state();
  s.level = std::min(level, detect());
  cap_highway(s.level);
}

}  // namespace massact::ops
