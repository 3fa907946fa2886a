// What observing costs: one hidden state of one layer, as `massact scan` takes it in.
#include <benchmark/benchmark.h>

#include "massact/observe/magnitudes.h"
#include "unit/observe/synthetic.h"

namespace massact::observe {
namespace {

// Arguments: positions, width, threads, planted massive values.
void BM_Magnitudes(benchmark::State& state) {
  testing::Hidden hidden = testing::gaussian(state.range(0), state.range(1), 1);
  for (std::int64_t i = 0; i < state.range(3); ++i) {
    hidden.at((17 * i) % hidden.rows, (131 * i) % hidden.cols) = 2000.0f;
  }
  Threads threads(static_cast<int>(state.range(2)));
  Magnitudes magnitudes;
  std::int64_t sequence = 0;
  for (auto _ : state) testing::show(magnitudes, hidden, threads, 0, sequence++);
  state.SetBytesProcessed(state.iterations() * hidden.rows * hidden.cols * 4);
}
BENCHMARK(BM_Magnitudes)
    ->ArgNames({"positions", "width", "threads", "massive"})
    ->Args({2048, 4096, 1, 2})
    ->Args({2048, 4096, 1, 0})
    ->Args({2048, 4096, 1, 64})
    ->Args({2048, 4096, 2, 0})
    ->Args({2048, 4096, 2, 2})
    ->Args({2048, 4096, 2, 64})
    ->Args({1024, 768, 2, 2})
    ->Args({256, 64, 2, 2})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
}  // namespace massact::observe
