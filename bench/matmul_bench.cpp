// Matmul speed of our kernels beside oneDNN's and the measured peak of the matrix registers, in one
// run.
//
//   matmul_bench [threads] [repetitions] [wall|cpu]
#include <fmt/format.h>

#include <random>

#include "bench_timing.h"
#include "massact/ops/cpu/features.h"
#include "massact/ops/cpu/packed_matrix.h"
#include "massact/ops/cpu/panels.h"
#include "massact/ops/matmul.h"

namespace massact::ops {
namespace {

using bench::best_seconds;
using bench::Settings;

struct Shape {
  std::int64_t m, n, k;
};

Buffer<float> random_floats(std::int64_t count) {
  std::mt19937 generator(7);
  std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
  Buffer<float> values(count);
  for (float& x : values.span()) x = uniform(generator);
  return values;
}

// Products of registers only: what the multipliers can do at most.
double register_peak(const cpu::PanelKernel& kernel, const Settings& settings, Threads& threads) {
  constexpr std::int64_t kSteps = 100000;
  const double flops = 2.0 * 32 * 32 * 32 * static_cast<double>(kSteps * threads.count());
  return flops / best_seconds(settings, threads, [&] {
           threads.parallel_for(threads.count(), [&](std::int64_t, int) {
             const cpu::PanelProducts products(kernel);
             kernel.register_products(kSteps);
           });
         });
}

void compare(const Shape& s, Precision precision, const Settings& settings, Threads& threads) {
  const auto x = random_floats(s.m * s.k), w = random_floats(s.n * s.k);
  const Buffer<float> y(s.m * s.n);
  const ConstFloatMatrix xs(x.data(), s.m, s.k);
  const FloatMatrix ys(y.data(), s.m, s.n);
  const WeightSlice slice = {
      DType::f32, reinterpret_cast<const std::byte*>(w.data()), s.n, s.k, s.k, 1};
  const double flops = 2.0 * static_cast<double>(s.m * s.n * s.k);
  const auto packed = PackedMatrix::pack({&slice, 1}, precision, threads);
  const auto onednn = cpu::pack_onednn({{&slice, 1}, s.n, s.k, precision}, threads);
  const double ours =
      flops / best_seconds(settings, threads, [&] { matmul(xs, packed, ys, threads); });
  const double theirs =
      flops / best_seconds(settings, threads, [&] { onednn->multiply(xs, ys, {}, threads); });
  fmt::print("{:5} {:6} {:6} {:6}  {:8.3f}  {:8.3f}  {:5.2f}\n", name_of(precision), s.m, s.n, s.k,
             ours * 1e-12, theirs * 1e-12, ours / theirs);
}

int run(int argc, char** argv) {
  const Settings settings(argc, argv);
  Threads threads(settings.threads);
  fmt::print("{} threads, {}, best of {}, {} time\n", threads.count(), name_of(cpu_level()),
             settings.repetitions, settings.cpu_time ? "CPU" : "wall");
  if (const cpu::PanelKernel* kernel = cpu::panel_kernel()) {
    fmt::print("bf16, products of registers: {:.3f} TFLOP/s\n",
               register_peak(*kernel, settings, threads) * 1e-12);
  }
  fmt::print("          m      n      k   TFLOP/s    oneDNN  ratio\n");
  for (const Shape& s : {Shape{2048, 4096, 4096}, Shape{2048, 11008, 4096},
                         Shape{2048, 4096, 11008}, Shape{2048, 3072, 768}, Shape{2048, 768, 3072},
                         Shape{20000, 172, 64}, Shape{128, 4096, 4096}, Shape{1, 4096, 4096}}) {
    compare(s, Precision::bf16, settings, threads);
  }
  for (const Shape& s : {Shape{1024, 3072, 768}, Shape{512, 4096, 4096}, Shape{20000, 172, 64}}) {
    compare(s, Precision::f32, settings, threads);
  }
  return 0;
}

}  // namespace
}  // namespace massact::ops

int main(int argc, char** argv) { return massact::ops::run(argc, argv); }
