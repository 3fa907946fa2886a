// A model larger than memory runs only if what was read of its file is let go again: at no time
// more than the weights of one product, or the embedding.
#include <gtest/gtest.h>

#include <map>
#include <mutex>

#include "parity/collect.h"

namespace massact {
namespace {

using namespace testing_support;

// Keeps account of the matrices that were read and not released since.
class Ledger final : public WeightSource {
 public:
  explicit Ledger(const Model& model) : model_(model) {}

  const std::vector<TensorInfo>& tensors() const override { return inner().tensors(); }
  std::string description() const override { return inner().description(); }
  std::uint64_t file_bytes() const override { return inner().file_bytes(); }
  TensorView view(std::string_view name) const override {
    enter(name);
    return inner().view(name);
  }
  void read(std::string_view name, std::int64_t first, std::int64_t count,
            float* out) const override {
    enter(name);
    inner().read(name, first, count, out);
  }
  void will_need(std::string_view name) const override { inner().will_need(name); }
  void release(std::string_view name) const override {
    inner().release(name);
    const std::scoped_lock lock(mutex_);
    held_.erase(std::string(name));
  }

  std::uint64_t most_bytes() const { return most_; }
  const std::map<std::string, std::uint64_t>& held() const { return held_; }

 private:
  const WeightSource& inner() const { return model_.weights().source(); }
  void enter(std::string_view name) const {
    const std::scoped_lock lock(mutex_);
    const TensorInfo& tensor = inner().info(name);
    if (tensor.shape.rank() < 2) return;  // norms and biases
    held_[tensor.name] = tensor.bytes;
    std::uint64_t bytes = 0;
    for (const auto& entry : held_) bytes += entry.second;
    most_ = std::max(most_, bytes);
  }

  Model model_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, std::uint64_t> held_;
  mutable std::uint64_t most_ = 0;
};

class WeightsHeld : public testing::TestWithParam<const char*> {};

TEST_P(WeightsHeld, AreThoseOfOneProductOrTheEmbedding) {
  const Model model = open_model(golden_folder() / "models" / GetParam());
  const auto ledger = std::make_shared<Ledger>(model);
  const Model watched({.config = model.config(),
                       .weights = model.weights().with_source(ledger),
                       .path = model.path(),
                       .name = model.name(),
                       .tokenizer = {}});
  const std::vector<Plan::Tokens> texts = {{3, 1, 4, 1, 5}, {9, 2}};
  const Site last = {SiteKind::resid_post, static_cast<int>(model.config().layers) - 1};
  Plan plan(watched, texts);
  plan.observe({last}, Collect{});
  const MemoryPlan memory = plan_memory(plan, {});
  NoProgress progress;
  run(plan, {}, progress);
  EXPECT_GT(ledger->most_bytes(), 0u);
  EXPECT_LE(ledger->most_bytes(), std::max(memory.source, memory.embedding));
  EXPECT_EQ(ledger->held(), (std::map<std::string, std::uint64_t>{}));
}

INSTANTIATE_TEST_SUITE_P(Models, WeightsHeld,
                         testing::Values("llama-gqa-tied", "gpt2", "phi3-window", "falcon-40b",
                                         "bloom", "qwen3", "opt", "mixtral", "qwen2-moe",
                                         "llama-gptq", "llama-fp8"),
                         [](const auto& model) {
                           std::string name = model.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace massact
