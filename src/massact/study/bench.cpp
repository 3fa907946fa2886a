#include "massact/study/bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "massact/base/error.h"
#include "massact/base/units.h"
#include "massact/observe/magnitudes.h"
#include "massact/ops/peak.h"

namespace massact {
namespace {

std::vector<Plan::Tokens> random_tokens(const ModelConfig& config, const BenchOptions& options) {
  std::mt19937 generator(0);
  std::uniform_int_distribution<std::int32_t> any(0, static_cast<std::int32_t>(config.vocab) - 1);
  std::vector<Plan::Tokens> texts(static_cast<std::size_t>(options.sequences));
  for (auto& text : texts) {
    text.resize(static_cast<std::size_t>(options.tokens));
    for (auto& token : text) token = any(generator);
  }
  return texts;
}

// Random pixels, made when they are read.
class RandomImages final : public PixelSource {
 public:
  RandomImages(const VisionConfig& vision, std::int64_t count) : vision_(vision), count_(count) {}
  std::int64_t count() const override { return count_; }
  std::int64_t channels() const override { return vision_.channels; }
  std::int64_t height() const override { return vision_.image_height; }
  std::int64_t width() const override { return vision_.image_width; }
  void read(std::int64_t index, std::span<float> pixels) const override {
    std::minstd_rand generator(static_cast<unsigned>(index + 1));
    std::uniform_real_distribution<float> any(-2.0f, 2.0f);
    for (float& pixel : pixels) pixel = any(generator);
  }
  std::string name(std::int64_t index) const override { return fmt::format("random {}", index); }

 private:
  VisionConfig vision_;
  std::int64_t count_;
};

Plan random_plan(const Model& model, const BenchOptions& options) {
  const ModelConfig& config = model.config();
  if (!config.is_vision()) return Plan(model, random_tokens(config, options));
  return Plan(model, std::make_shared<RandomImages>(config.vision, options.sequences));
}

// Sees values and does nothing: with it, the run has something to fire.
class Nothing final : public Observer {
 public:
  void observe(const SiteView&, Threads&) override {}
};

double matmul_flops_per_token(const ModelConfig& config) {
  const std::int64_t heads = 2 * (config.heads + config.kv_heads) * config.head_size;
  const std::int64_t mlp = config.mlp_size * (config.gated_mlp ? 3 : 2);
  const MoeConfig& moe = config.moe;
  const std::int64_t experts = 3 * (moe.per_token * moe.size + moe.shared_size) + moe.experts;
  const auto sparse = std::count(moe.blocks.begin(), moe.blocks.end(), true);
  const std::int64_t outputs =
      config.layers * heads + (config.layers - sparse) * mlp + sparse * experts;
  double flops = 2.0 * static_cast<double>(config.width * outputs);
  if (config.is_vision())
    flops += 2.0 * static_cast<double>(config.vision.patch_values() * config.width);
  return flops;
}

// Scores and weighted values: 4 operations per element of a head and pair of positions.
double attention_flops(const ModelConfig& config, std::int64_t tokens) {
  double pairs = 0;
  for (const std::int64_t window : config.windows) {
    if (!config.causal) {
      pairs += static_cast<double>(tokens) * static_cast<double>(tokens);
      continue;
    }
    for (std::int64_t t = 1; t <= tokens; ++t) {
      pairs += static_cast<double>(window > 0 ? std::min(t, window) : t);
    }
  }
  return 4.0 * pairs * static_cast<double>(config.heads * config.head_size);
}

// `run` refuses what the budget does not hold, but only when the texts are there.
void require_texts_fit(const BenchOptions& options) {
  const std::uint64_t budget = memory_budget(options.run.memory);
  const double bytes = static_cast<double>(options.sequences) *
                       static_cast<double>(options.tokens) * sizeof(std::int32_t);
  if (bytes <= static_cast<double>(budget)) return;
  fail_usage("--sequences", "expected fewer than {} of {} tokens: their ids alone exceed {}",
             options.sequences, options.tokens, format_bytes(budget));
}

}  // namespace

BenchResult run_bench(const Model& model, const BenchOptions& options, Progress& progress) {
  const ModelConfig& config = model.config();
  if (!config.is_vision()) require_texts_fit(options);
  Plan plan = random_plan(model, options);
  if (options.observers) {
    plan.observe(sites::resid_post(config), observe::Magnitudes{});
  } else {
    plan.observe({sites::resid_post(config).back()}, Nothing{});
  }
  BenchResult result;
  result.model = model.name();
  result.layers = config.layers;
  result.tokens = options.tokens * options.sequences;
  RunOptions run_options = options.run;
  if (options.observers) {
    const auto watched = observe::HiddenStates::of(plan, config.layers, options.run.thread_count());
    run_options.kept += observe::magnitudes_bytes(watched, {});
  }
  result.run = run(plan, run_options, progress);
  result.matmul_flops = matmul_flops_per_token(config) * static_cast<double>(result.tokens);
  result.attention_flops =
      attention_flops(config, options.tokens) * static_cast<double>(options.sequences);
  Threads threads(options.run.threads);
  // int8 is compared with the bf16 that it stands in for.
  result.peak_flops = ops::register_peak(ops::unquantised(result.run.precision), threads);
  result.predicted_resident = result.run.memory.total;
  return result;
}

}  // namespace massact
