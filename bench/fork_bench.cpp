// What forked streams cost: k variants from layer l of L should take 1 + k(L − l)/L forward passes.
#include <benchmark/benchmark.h>

#include "massact/edit/edits.h"
#include "massact/model/synthetic_model.h"
#include "massact/run/executor.h"

namespace massact {
namespace {

// Watches a site and does nothing: only the blocks are timed.
class Watch final : public Observer {
 public:
  void observe(const SiteView& view, Threads&) override {
    benchmark::DoNotOptimize(view.values.data);
  }
};

// Arguments: variants k, layer l they fork at (as users count), of the 12 of GPT-2's shape.
void BM_Forks(benchmark::State& state) {
  const Model model = make_synthetic_model({.shape = "gpt2", .layers = 12, .type = DType::bf16});
  const auto layers = static_cast<int>(model.config().layers);
  const auto layer = static_cast<int>(state.range(1));
  const std::vector<Plan::Tokens> texts(4, Plan::Tokens(512, 7));
  for (auto _ : state) {
    Plan plan(model, texts);
    for (std::int64_t k = 0; k < state.range(0); ++k) {
      std::vector<SiteEdit> edits;
      edits.push_back(
          {{SiteKind::resid_post, layer - 1},
           edit::edit_scalars(edit::by_position({}, {k}, nullptr, 0), edit::zero(), 0)});
      const int stream = plan.fork("fork", std::move(edits));
      plan.observe({{SiteKind::resid_post, layers - 1}}, Watch{}, stream);
    }
    plan.observe({{SiteKind::resid_post, layers - 1}}, Watch{});
    NoProgress progress;
    run(plan, {}, progress);
  }
  state.counters["expected_passes"] =
      1.0 + static_cast<double>(state.range(0) * (layers - layer)) / static_cast<double>(layers);
}
BENCHMARK(BM_Forks)
    ->ArgNames({"variants", "layer"})
    ->Args({0, 3})
    ->Args({1, 3})
    ->Args({5, 3})
    ->Args({5, 6})
    ->Args({5, 9})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
}  // namespace massact
