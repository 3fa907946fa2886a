#include "massact/ops/peak.h"

#include <algorithm>

#include "massact/base/clock.h"
#include "massact/ops/cpu/features.h"  // its cap is applied before the first dispatch
#include "massact/ops/cpu/panels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "massact/ops/cpu/peak.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace massact::ops::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Twelve independent accumulators hide the latency of one fused multiply-add. Their values differ
// (they start at a[i]), or the compiler would see twelve times the same sum. Gives the FLOPs done.
double fma_products(const float* a, std::int64_t steps, float* sink) {
  const hn::ScalableTag<float> d;
  const auto x = hn::Set(d, a[0]), y = hn::Set(d, a[1]);
  auto c0 = hn::Set(d, a[2]), c1 = hn::Set(d, a[3]), c2 = hn::Set(d, a[4]), c3 = hn::Set(d, a[5]);
  auto c4 = hn::Set(d, a[6]), c5 = hn::Set(d, a[7]), c6 = hn::Set(d, a[8]), c7 = hn::Set(d, a[9]);
  auto c8 = hn::Set(d, a[10]), c9 = hn::Set(d, a[11]), c10 = hn::Set(d, a[12]);
  auto c11 = hn::Set(d, a[13]);
  for (std::int64_t i = 0; i < steps; ++i) {
    c0 = hn::MulAdd(c0, x, y), c1 = hn::MulAdd(c1, x, y), c2 = hn::MulAdd(c2, x, y);
    c3 = hn::MulAdd(c3, x, y), c4 = hn::MulAdd(c4, x, y), c5 = hn::MulAdd(c5, x, y);
    c6 = hn::MulAdd(c6, x, y), c7 = hn::MulAdd(c7, x, y), c8 = hn::MulAdd(c8, x, y);
    c9 = hn::MulAdd(c9, x, y), c10 = hn::MulAdd(c10, x, y), c11 = hn::MulAdd(c11, x, y);
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
  constexpr int kOperands = 14;
  float operands[kOperands] = {1.0000001f, 1e-9f};
  for (int i = 2; i < kOperands; ++i) operands[i] = static_cast<float>(i);
  return HWY_DYNAMIC_DISPATCH(fma_products)(operands, steps, sink);
}

}  // namespace cpu

double register_peak(Precision precision, Threads& threads) {
  constexpr std::int64_t kSteps = 200000, kPanelSteps = 100000;
  constexpr int kRepetitions = 4;
  const cpu::PanelKernel* const panels =
      precision == Precision::bf16 ? cpu::panel_kernel() : nullptr;
  const Buffer<double> flops(threads.count());
  const Buffer<float> sinks(threads.count());
  double best = 0;
  for (int repetition = 0; repetition < kRepetitions; ++repetition) {
    const Stopwatch watch;
    threads.parallel_for(threads.count(), [&](std::int64_t i, int) {
      if (panels != nullptr) {
        const cpu::PanelProducts products(*panels);
        panels->register_products(kPanelSteps);
        flops[i] = 2.0 * 32 * 32 * 32 * static_cast<double>(kPanelSteps);
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
