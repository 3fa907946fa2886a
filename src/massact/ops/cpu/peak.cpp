#include "massact/ops/peak.h"

#include <algorithm>

#include "massact/base/clock.h"
#include "massact/ops/cpu/amx_kernels.h"
#include "massact/ops/cpu/features.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "massact/ops/cpu/peak.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace massact::ops::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Twelve independent accumulators hide the latency of one fused multiply-add. Gives the FLOPs done.
double fma_products(std::int64_t steps, float* sink) {
  const hn::ScalableTag<float> d;
  const auto a = hn::Set(d, 1.0000001f), b = hn::Set(d, 1e-9f);
  auto c0 = a, c1 = a, c2 = a, c3 = a, c4 = a, c5 = a;
  auto c6 = a, c7 = a, c8 = a, c9 = a, c10 = a, c11 = a;
  for (std::int64_t i = 0; i < steps; ++i) {
    c0 = hn::MulAdd(c0, a, b), c1 = hn::MulAdd(c1, a, b), c2 = hn::MulAdd(c2, a, b);
    c3 = hn::MulAdd(c3, a, b), c4 = hn::MulAdd(c4, a, b), c5 = hn::MulAdd(c5, a, b);
    c6 = hn::MulAdd(c6, a, b), c7 = hn::MulAdd(c7, a, b), c8 = hn::MulAdd(c8, a, b);
    c9 = hn::MulAdd(c9, a, b), c10 = hn::MulAdd(c10, a, b), c11 = hn::MulAdd(c11, a, b);
  }
  const auto sum = c0 + c1 + c2 + c3 + c4 + c5 + c6 + c7 + c8 + c9 + c10 + c11;
  *sink = hn::GetLane(hn::SumOfLanes(d, sum));
  return 2.0 * 12.0 * static_cast<double>(hn::Lanes(d)) * static_cast<double>(steps);
}

}  // namespace HWY_NAMESPACE
}  // namespace massact::ops::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace massact::ops {
namespace cpu {

HWY_EXPORT(fma_products);

static double run_fma_products(std::int64_t steps, float* sink) {
  return HWY_DYNAMIC_DISPATCH(fma_products)(steps, sink);
}

}  // namespace cpu

double register_peak(Precision precision, Threads& threads) {
  constexpr std::int64_t kSteps = 200000;
  constexpr int kRepetitions = 4;
  const bool amx = precision == Precision::bf16 && cpu_level() == CpuLevel::amx;
  const Buffer<double> flops(threads.count());
  const Buffer<float> sinks(threads.count());
  double best = 0;
  for (int repetition = 0; repetition < kRepetitions; ++repetition) {
    const Stopwatch watch;
    threads.parallel_for(threads.count(), [&](std::int64_t i, int) {
      if (amx) {
        const cpu::AmxTiles tiles;
        cpu::amx_register_products(kSteps);
        flops[i] = 2.0 * 32 * 32 * 32 * static_cast<double>(kSteps);
      } else {
        flops[i] = cpu::run_fma_products(kSteps, &sinks[i]);
      }
    });
    double all = 0;
    for (const double f : flops.span()) all += f;
    best = std::max(best, all / watch.seconds());
  }
  return best;
}

}  // namespace massact::ops
#endif
