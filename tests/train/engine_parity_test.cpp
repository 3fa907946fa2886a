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
  std::int64_t vocabulary = 0;
};

Logits both(const fs::path& model_dir, const fs::path& oracle_file) {
  const Model model = open_model(model_dir);
  const auto golden = open_safetensors(oracle_file);
  Plan::Tokens tokens;
  const auto ids = to_float_tensor(golden->view("tokens"));
  for (const float id : ids.floats()) {
    tokens.push_back(static_cast<std::int32_t>(id));
  }
  const Site site = parse_site("hook_logits", model.config());
  const auto expected = to_float_tensor(golden->view("logits"));
  Logits logits;
  logits.engine =
      collect(model, {tokens}, {site}, {.precision = ops::Precision::f32}).at({0, "hook_logits"});
  logits.libtorch.assign(expected.floats().begin(), expected.floats().end());
  logits.vocabulary = model.config().vocab;
  return logits;
}

class EngineParity : public ::testing::TestWithParam<const char*> {};

TEST_P(EngineParity, RandomModelsOfEveryVariant) {
  const fs::path out = oracle("random", GetParam());
  std::set<std::vector<float>> different;
  for (const auto& entry : fs::directory_iterator(out)) {
    if (!entry.is_directory()) continue;
    const Logits logits = both(entry.path(), entry.path().string() + ".safetensors");
    EXPECT_EQ(compare_vectors(logits.engine, logits.libtorch, logits.vocabulary), "")
        << entry.path();
    different.insert(logits.libtorch);
  }
  // Every variant was there and says something of its own.
  EXPECT_EQ(different.size(), 12u);
}

INSTANTIATE_TEST_SUITE_P(Trainer, EngineParity, ::testing::Values("gpt2", "llama"),
                         [](const auto& architecture) { return architecture.param; });

TEST(EngineParity, ShippedModels) {
  std::size_t compared = 0;
  for (const auto& entry : fs::directory_iterator(source_folder() / "models")) {
    if (!fs::exists(entry.path() / "config.json")) continue;
    const fs::path out = oracle("model", entry.path());
    const Logits logits = both(entry.path(), out / "model.safetensors");
    EXPECT_EQ(compare_vectors(logits.engine, logits.libtorch, logits.vocabulary), "")
        << entry.path();
    ++compared;
  }
  EXPECT_GE(compared, 2u);
}

}  // namespace
}  // namespace massact
