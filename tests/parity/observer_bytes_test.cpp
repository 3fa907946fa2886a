// What observers and scores say that they keep is what they keep: a memory budget counts on it.
#include <gtest/gtest.h>

#include "massact/eval/scorer.h"
#include "massact/observe/vector_path.h"
#include "massact/observe/window.h"
#include "massact/study/ablate_labels.h"
#include "parity/collect.h"

namespace massact {
namespace {

using namespace testing_support;

class Zero final : public Edit {
 public:
  std::int64_t apply(const SiteView& view) override {
    std::fill_n(view.values.row(0), view.values.cols, 0.0f);
    return view.values.cols;
  }
  std::string description() const override { return "zero the first row"; }
};

std::vector<Plan::Tokens> texts() { return {{3, 1, 4, 1, 5, 9, 2, 6}, {5, 3, 5}}; }

TEST(ObserverBytes, AreTheWindowsValues) {
  const Model model = open_model(golden_folder() / "models" / "gpt2");
  const std::vector<Site> sites = sites::resid_post(model.config());
  for (const std::int64_t positions : {4, 64}) {
    Plan plan(model, texts());
    const auto& window = plan.observe(sites, observe::Window({.positions = positions}));
    NoProgress progress;
    run(plan, {}, progress);
    std::size_t bytes = 0;
    for (const auto& [number, layer] : window.layers()) {
      bytes += layer.values.capacity() * sizeof(float);
    }
    const auto watched = observe::HiddenStates::of(plan, std::ssize(sites), 1);
    EXPECT_EQ(observe::window_bytes(watched, {.positions = positions}), bytes);
  }
}

TEST(ObserverBytes, HoldTheSumsOfVectorPath) {
  const Model model = open_model(golden_folder() / "models" / "llama-gqa-tied");
  const ModelConfig& config = model.config();
  Plan plan(model, texts());
  std::vector<Site> sites;
  for (int block = 0; block < config.layers; ++block) {
    for (const SiteKind kind : observe::kPathSites) sites.push_back({kind, block});
  }
  const auto massive = std::make_shared<const observe::MassiveTokens>(observe::TokenLists{});
  const auto labels =
      std::make_shared<const TokenLabels>(texts(), nullptr, PositionLists::defaults(), 0);
  const auto& path =
      plan.observe(sites, observe::VectorPath({.massive = massive, .labels = labels}));
  NoProgress progress;
  run(plan, {}, progress);
  std::size_t bytes = 0;
  for (const auto& [site, groups] : path.points()) {
    bytes += sizeof(groups);
    for (const auto& point : groups) bytes += point.sum.capacity() * sizeof(double);
  }
  EXPECT_LE(bytes, observe::vector_path_bytes(config));
  EXPECT_GT(4 * bytes, observe::vector_path_bytes(config));
}

TEST(ObserverBytes, AreTheScoresOfAStream) {
  const Model model = open_model(golden_folder() / "models" / "gpt2");
  std::vector<eval::Window> windows;
  for (const Plan::Tokens& text : texts()) {
    windows.push_back({text, 1, {text.begin() + 2, text.end()}});
  }
  const auto shared = std::make_shared<const std::vector<eval::Window>>(windows);
  Plan plan(model, texts());
  std::vector<SiteEdit> edits;
  edits.push_back({{SiteKind::resid_post, 0}, std::make_unique<Zero>()});
  plan.fork("zero", std::move(edits));
  const auto board = eval::ScoreBoard::attach(plan, shared);
  NoProgress progress;
  run(plan, {}, progress);
  std::size_t values = 0;
  for (const eval::WindowScores& scores : board.of(1)) {
    values += scores.log_probs.capacity() + scores.divergences.capacity();
  }
  const std::size_t lists = windows.size() * (sizeof(eval::WindowScores) + 32);
  EXPECT_EQ(eval::score_bytes(windows), lists + values * sizeof(double));
}

}  // namespace
}  // namespace massact
