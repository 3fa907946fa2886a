// A model larger than memory runs only if what was read of its file is let go again: at no time
// more than the weights of one product, or the embedding.
#include <gtest/gtest.h>

#include <map>
#include <mutex>

#include "massact/io/adapter.h"
#include "massact/io/quantized_weights.h"
#include "massact/io/safetensors.h"
#include "massact/io/weight_files.h"
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

void expect_little_held(const Model& model) {
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

TEST_P(WeightsHeld, AreThoseOfOneProductOrTheEmbedding) {
  expect_little_held(open_model(golden_folder() / "models" / GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Models, WeightsHeld,
                         testing::Values("llama-gqa-tied", "gpt2", "phi3-window", "falcon-40b",
                                         "bloom", "qwen3", "opt", "mixtral", "qwen2-moe",
                                         "llama-gptq", "llama-fp8", "llama-nf4",
                                         "llama-nf4-nested"),
                         [](const auto& model) {
                           std::string name = model.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// A matrix with an adapter is read with both of the adapter's.
TEST(AdapterHeld, BytesAreThoseOfTheWeightAndItsPair) {
  const std::shared_ptr<const WeightSource> base =
      open_weight_files(golden_folder() / "models" / "llama-gqa-tied");
  const auto folder = golden_folder() / "adapters" / "llama-lora";
  const std::shared_ptr<const WeightSource> pairs =
      open_safetensors(folder / "adapter_model.safetensors");
  const auto merged = merge_adapter(base, folder).weights;
  std::uint64_t more = 0, all = 0;
  for (const TensorInfo& tensor : merged->tensors()) {
    more += tensor.bytes - base->info(tensor.name).bytes;
  }
  for (const TensorInfo& tensor : pairs->tensors()) {
    if (tensor.name.find(".lora_") != std::string::npos) all += tensor.bytes;
  }
  EXPECT_GT(all, 0u);
  EXPECT_EQ(more, all);
  expect_little_held(open_model(golden_folder() / "models" / "llama-gqa-tied",
                                {.tokenizer = {}, .adapter = folder}));
}

// The tensors of a file in memory that a test may change.
class Copied final : public WeightSource {
 public:
  explicit Copied(std::shared_ptr<const WeightSource> files) : files_(std::move(files)) {
    for (const TensorInfo& tensor : files_->tensors()) {
      const TensorView view = files_->view(tensor.name);
      copies_[tensor.name].assign(view.data, view.data + view.byte_count());
    }
  }
  std::vector<std::byte>& bytes_of(const std::string& name) { return copies_.at(name); }

  const std::vector<TensorInfo>& tensors() const override { return files_->tensors(); }
  std::string description() const override { return files_->description(); }
  std::uint64_t file_bytes() const override { return files_->file_bytes(); }
  TensorView view(std::string_view name) const override {
    TensorView view = files_->view(name);
    view.data = copies_.find(name)->second.data();
    return view;
  }
  void read(std::string_view name, std::int64_t first, std::int64_t count,
            float* out) const override {
    read_floats(view(name), first, count, out);
  }
  void will_need(std::string_view) const override {}
  void release(std::string_view) const override {}

 private:
  std::shared_ptr<const WeightSource> files_;
  std::map<std::string, std::vector<std::byte>, std::less<>> copies_;
};

class OpeningQuantised : public testing::TestWithParam<std::pair<std::string, std::string>> {};

// What is kept from opening on would be in memory for all blocks at once.
TEST_P(OpeningQuantised, KeepsNoScales) {
  const auto [model, scales] = GetParam();
  const auto folder = golden_folder() / "models" / model;
  const auto config = JsonObject::from_file(folder / "config.json", 1 << 20);
  const auto files = std::make_shared<Copied>(open_weight_files(folder));
  const auto weights = dequantize(files, config.object("quantization_config"));
  const std::string name = "model.layers.1.mlp.up_proj.weight";
  const std::int64_t count = weights->info(name).shape.element_count();
  std::vector<float> before(static_cast<std::size_t>(count)), after = before;
  weights->read(name, 0, count, before.data());
  auto& stored = files->bytes_of(name + scales);
  std::fill(stored.begin(), stored.end(), std::byte{0});
  weights->read(name, 0, count, after.data());
  EXPECT_NE(before, after);
}

INSTANTIATE_TEST_SUITE_P(BitsAndBytes, OpeningQuantised,
                         testing::Values(std::pair("llama-nf4", ".absmax"),
                                         std::pair("llama-nf4-nested", ".absmax"),
                                         std::pair("llama-nf4-nested", ".nested_absmax")),
                         [](const auto& scales) {
                           std::string name = scales.param.first + scales.param.second;
                           std::replace(name.begin(), name.end(), '-', '_');
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

}  // namespace
}  // namespace massact
