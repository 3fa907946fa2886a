// Multiple choice against lm-evaluation-harness (tests/golden/eval/choices.json).
#include "massact/eval/choices.h"

#include <gtest/gtest.h>

#include "massact/io/json.h"
#include "parity/collect.h"

namespace massact {
namespace {

namespace fs = std::filesystem;
using namespace testing_support;

std::vector<eval::WindowScores> score(const Model& model, std::vector<eval::Window> windows) {
  const auto shared = std::make_shared<const std::vector<eval::Window>>(std::move(windows));
  Plan plan(model, eval::sequences_of(*shared));
  const auto board = eval::ScoreBoard::attach(plan, shared);
  NoProgress progress;
  run(plan, {.precision = ops::Precision::f32}, progress);
  return board.of(0);
}

void expect_estimate(const eval::Estimate& got, const JsonObject& expected) {
  EXPECT_NEAR(got.value, expected.get<double>("value"), 1e-12);
  ASSERT_TRUE(got.error.has_value());
  EXPECT_NEAR(*got.error, expected.get<double>("stderr"), 1e-12);
}

void check_task(const std::string& key, const JsonObject& expected, const fs::path& file) {
  SCOPED_TRACE(key);
  const Model model = open_model(golden_folder() / "models" / "planted");
  const std::string name = key.substr(0, key.find('/'));
  auto items = read_task(file, task_format(name.substr(0, name.find("_real"))));
  const auto choices = [&] {
    return eval::choice_windows(items, model.tokenizer(), model.config().max_positions,
                                key.ends_with("bos-yes"));
  };
  std::vector<double> golden;
  if (expected.has("documents")) {
    for (const auto& document : *expected.find("documents")) {
      for (const auto& request : document.at("requests")) {
        golden.push_back(request.at("log_likelihood"));
      }
    }
  } else {
    for (const auto& document : *expected.find("log_likelihoods")) {
      for (const auto& value : document) golden.push_back(value);
    }
    items.resize(expected.find("log_likelihoods")->size());
  }
  const auto scores = score(model, choices().windows);
  ASSERT_EQ(scores.size(), golden.size());
  for (std::size_t i = 0; i < scores.size(); ++i) {
    EXPECT_NEAR(scores[i].log_likelihood(), golden[i], 1e-3) << "request " << i;
  }
  const auto accuracy = eval::accuracy_of(eval::answers_of(items, scores));
  const JsonObject summary = expected.object("summary");
  expect_estimate(accuracy.acc, summary.object("acc"));
  if (summary.has("acc_norm")) expect_estimate(accuracy.acc_norm, summary.object("acc_norm"));
  if (summary.has("acc_bytes")) expect_estimate(accuracy.acc_bytes, summary.object("acc_bytes"));
}

JsonObject golden_tasks() {
  return JsonObject::from_file(golden_folder() / "eval" / "choices.json", 1 << 22).object("tasks");
}

TEST(Choices, AgreeWithTheHarness) {
  const JsonObject tasks = golden_tasks();
  int checked = 0;
  for (const std::string& key : tasks.keys()) {
    std::string name = key.substr(0, key.find('/'));
    if (name.ends_with("_real")) continue;
    if (name == "arc_easy") name = "arc";
    check_task(key, tasks.object(key), golden_folder() / "eval" / "tasks" / (name + ".jsonl"));
    ++checked;
  }
  EXPECT_EQ(checked, 10);
}

TEST(Choices, AgreeWithTheHarnessOnRealPiqa) {
  const fs::path file = shared_data() / "piqa-raw" / "valid.jsonl";
  if (!fs::exists(file)) GTEST_SKIP() << "no shared data: set MASSACT_SHARED";
  const JsonObject tasks = golden_tasks();
  for (const char* key : {"piqa_real/bos-no", "piqa_real/bos-yes"}) {
    check_task(key, tasks.object(key), file);
  }
}

}  // namespace
}  // namespace massact
