// The engine against libtorch: the same logits for what the trainer saves, every architecture and
// variant, and for the models that ship.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <set>

#include "cli/program.h"
#include "massact/run/executor.h"
#include "parity/collect.h"
#include "parity/compare.h"
#include "parity/images.h"
#include "paths.h"

namespace massact {
namespace {

using namespace testing_support;
namespace fs = std::filesystem;

/// Runs the oracle (logits_oracle.cpp); its output lies in the folder this returns.
fs::path oracle(const std::string& kind, const std::string& what) {
  const fs::path out = testing::fresh_folder();
  testing::RunSettings settings;
  settings.program = MASSACT_LOGITS_ORACLE;
  const auto outcome = testing::massact({kind, what, out}, settings);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  return out;
}

struct Logits {
  std::vector<float> engine;
  std::vector<float> libtorch;
  std::int64_t width = 0;  // of one vector: the vocabulary or the classes
};

/// The oracle's input: "tokens" of a text or "pixels" of an image.
Plan plan_of(const Model& model, const WeightSource& golden) {
  if (golden.find("pixels") != nullptr) {
    std::vector<Tensor> images;
    images.push_back(to_float_tensor(golden.view("pixels")));
    return Plan(model, std::make_shared<GoldenImages>(std::move(images)));
  }
  Plan::Tokens tokens;
  const auto ids = to_float_tensor(golden.view("tokens"));
  for (const float id : ids.floats()) tokens.push_back(static_cast<std::int32_t>(id));
  return Plan(model, std::vector<Plan::Tokens>{tokens});
}

Logits both(const fs::path& model_dir, const fs::path& oracle_file) {
  const Model model = open_model(model_dir);
  const auto golden = open_safetensors(oracle_file);
  Plan plan = plan_of(model, *golden);
  const auto& collected = plan.observe({parse_site("hook_logits", model.config())}, Collect{});
  NoProgress progress;
  run(plan, {.precision = ops::Precision::f32}, progress);
  const auto expected = to_float_tensor(golden->view("logits"));
  Logits logits;
  logits.engine = collected.values().at({0, "hook_logits"});
  logits.libtorch.assign(expected.floats().begin(), expected.floats().end());
  logits.width = expected.shape()[expected.shape().rank() - 1];
  return logits;
}

struct Case {
  const char* architecture;
  std::size_t variants;
};

class EngineParity : public ::testing::TestWithParam<Case> {};

TEST_P(EngineParity, RandomModelsOfEveryVariant) {
  const fs::path out = oracle("random", GetParam().architecture);
  std::set<std::vector<float>> different;
  for (const auto& entry : fs::directory_iterator(out)) {
    if (!entry.is_directory()) continue;
    const Logits logits = both(entry.path(), entry.path().string() + ".safetensors");
    EXPECT_EQ(compare_vectors(logits.engine, logits.libtorch, logits.width), "") << entry.path();
    different.insert(logits.libtorch);
  }
  // Every variant was there and says something of its own.
  EXPECT_EQ(different.size(), GetParam().variants);
}

INSTANTIATE_TEST_SUITE_P(Trainer, EngineParity,
                         ::testing::Values(Case{"gpt2", 12}, Case{"llama", 12},
                                           Case{"vit", 18}),  // with and without registers
                         [](const auto& given) { return given.param.architecture; });

TEST(EngineParity, ShippedModels) {
  std::size_t compared = 0;
  for (const auto& entry : fs::directory_iterator(source_folder() / "models")) {
    if (!fs::exists(entry.path() / "config.json")) continue;
    const fs::path out = oracle("model", entry.path());
    const Logits logits = both(entry.path(), out / "model.safetensors");
    EXPECT_EQ(compare_vectors(logits.engine, logits.libtorch, logits.width), "") << entry.path();
    ++compared;
  }
  EXPECT_GE(compared, 2u);
}

}  // namespace
}  // namespace massact
