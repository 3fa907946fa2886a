// Mixtures of experts beyond the sites' values (which model_parity_test compares): what is read,
// what memory is planned, what edits of the router do, who saw which token.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <mutex>
#include <numeric>
#include <set>

#include "massact/model/moe.h"
#include "massact/run/memory.h"
#include "massact/study/scan_routing.h"
#include "parity/collect.h"

namespace massact {
namespace {

using namespace testing_support;
using testing::ElementsAre;

// A source that remembers which tensors were read.
class Recorder final : public WeightSource {
 public:
  explicit Recorder(const Model& model) : model_(model) {}

  const std::vector<TensorInfo>& tensors() const override { return inner().tensors(); }
  std::string description() const override { return inner().description(); }
  std::uint64_t file_bytes() const override { return inner().file_bytes(); }
  TensorView view(std::string_view name) const override {
    note(name);
    return inner().view(name);
  }
  void read(std::string_view name, std::int64_t first, std::int64_t count,
            float* out) const override {
    note(name);
    inner().read(name, first, count, out);
  }
  void will_need(std::string_view name) const override { inner().will_need(name); }
  void release(std::string_view name) const override { inner().release(name); }

  // Numbers of the experts of a block of which anything was read.
  std::set<std::int64_t> experts_read(int block) const {
    std::set<std::int64_t> experts;
    const std::string prefix = fmt::format("model.layers.{}.block_sparse_moe.experts.", block);
    for (const std::string& name : read_) {
      if (name.starts_with(prefix)) experts.insert(std::stoll(name.substr(prefix.size())));
    }
    return experts;
  }

 private:
  const WeightSource& inner() const { return model_.weights().source(); }
  void note(std::string_view name) const {
    const std::scoped_lock lock(mutex_);
    read_.emplace(name);
  }

  Model model_;
  mutable std::mutex mutex_;
  mutable std::set<std::string, std::less<>> read_;
};

Model mixtral() { return open_model(golden_folder() / "models/mixtral"); }

TEST(Moe, OnlyExpertsThatTokensWereSentToAreRead) {
  const Model model = mixtral();
  const auto recorder = std::make_shared<Recorder>(model);
  const Model recorded({.config = model.config(),
                        .weights = model.weights().with_source(recorder),
                        .path = model.path(),
                        .name = model.name(),
                        .tokenizer = {}});
  const std::vector<Plan::Tokens> texts = {{5}};
  const auto values =
      collect(recorded, texts, {{SiteKind::mlp_router, 0}, {SiteKind::mlp_router, 1}});
  for (int block = 0; block < 2; ++block) {
    const auto& routing = values.at({0, fmt::format("blocks.{}.mlp.hook_router", block)});
    std::set<std::int64_t> chosen;
    for (std::size_t e = 0; e < routing.size(); ++e) {
      if (routing[e] != 0) chosen.insert(static_cast<std::int64_t>(e));
    }
    EXPECT_EQ(chosen.size(), 2u);
    EXPECT_EQ(recorder->experts_read(block), chosen);
  }
}

TEST(Moe, MemoryCountsTheExpertsThatTokensMayNeed) {
  const Model model = mixtral();
  const auto plan_for = [&](std::int64_t length) {
    const std::vector<std::int64_t> lengths = {length};
    return plan_memory(model, {.lengths = lengths, .blocks_run = 2});
  };
  const std::uint64_t one = MoeMlp::expert_bytes(model.config(), ops::Precision::f32);
  EXPECT_EQ(one, 3u * 20 * 13 * 4);
  EXPECT_EQ(plan_for(1).experts, 2 * one);
  EXPECT_EQ(plan_for(2).experts, 4 * one);
  EXPECT_EQ(plan_for(17).experts, 5 * one);  // it has no more
  EXPECT_EQ(plan_for(17).blocks, plan_for(17).block + 5 * one);
}

// Sends every token to one expert, with weight 1.
class SendTo final : public Edit {
 public:
  explicit SendTo(std::int64_t expert) : expert_(expert) {}
  std::int64_t apply(const SiteView& view) override {
    for (std::int64_t r = 0; r < view.values.rows; ++r) {
      std::fill_n(view.values.row(r), view.values.cols, 0.0f);
      view.values(r, expert_) = 1.0f;
    }
    return view.values.rows;
  }
  std::string description() const override { return "send to one expert"; }

 private:
  std::int64_t expert_;
};

TEST(Moe, AnEditOfTheRouterDecidesWhichExpertsRun) {
  const Model model = mixtral();
  Plan plan(model, {{5, 9, 2}});
  const Site router{SiteKind::mlp_router, 0};
  std::vector<SiteEdit> edits;
  edits.push_back({router, std::make_unique<SendTo>(4)});
  const int fork = plan.fork("one expert", std::move(edits));
  auto& routing =
      plan.observe(std::vector<Site>{router}, observe::Routing(model.config().moe), fork);
  NoProgress progress;
  run(plan, {.precision = ops::Precision::f32}, progress);
  for (std::int64_t position = 0; position < 3; ++position) {
    EXPECT_THAT(routing.experts_of(0, 0, position), ElementsAre(4));
  }
  EXPECT_THAT(routing.load_of(0, 5), ElementsAre(0, 0, 0, 0, 3));
}

TEST(Moe, ReportedRoutingIsWhatTheRouterChose) {
  const Model model = mixtral();
  const std::vector<Plan::Tokens> texts = {{5, 9, 2, 7}, {1, 5, 9}};
  const Site router{SiteKind::mlp_router, 1};
  Plan plan(model, texts);
  const auto& routing =
      plan.observe(std::vector<Site>{router}, observe::Routing(model.config().moe));
  const auto& values = plan.observe(std::vector<Site>{router}, Collect{});
  NoProgress progress;
  run(plan, {}, progress);
  FindingSet findings;
  Finding& finding = findings.findings.emplace_back();
  finding.values = {{0, 2, 1.0f}, {1, 1, 1.0f}, {1, 1, 2.0f}};  // two tokens, one of them twice
  const ScanRouting report = routing_of(routing, model.config().moe, findings);

  std::map<std::int64_t, std::int64_t> expected;
  for (const auto& [sequence, position] : {std::pair{0, 2}, {1, 1}}) {
    const auto& weights = values.values().at({sequence, name_of(router)});
    for (std::int64_t e = 0; e < 5; ++e) {
      if (weights[static_cast<std::size_t>(position * 5 + e)] != 0) ++expected[e];
    }
  }
  ASSERT_EQ(report.findings.size(), 1u);
  EXPECT_EQ(report.findings[0].layer, 2);
  EXPECT_EQ(report.findings[0].tokens, 2);
  std::map<std::int64_t, std::int64_t> got;
  for (const ExpertCount& count : report.findings[0].experts) got[count.expert] = count.tokens;
  EXPECT_EQ(got, expected);
  ASSERT_EQ(report.layers.size(), 1u);
  const auto& load = report.layers[0].load;
  EXPECT_EQ(std::accumulate(load.begin(), load.end(), std::int64_t{0}), 7 * 2);
}

TEST(Moe, RoutersOfBothKinds) {
  Threads threads(1);
  const auto routed = [&](std::int64_t per_token, RouterKind router, bool normalised,
                          std::vector<float> logits) {
    MoeConfig config;
    config.experts = std::ssize(logits);
    config.per_token = per_token;
    config.router = router;
    config.normalised = normalised;
    route(config, {logits.data(), 1, config.experts}, threads);
    return logits;
  };
  constexpr auto kSoftmaxFirst = RouterKind::softmax_then_choose;
  const float ln2 = std::log(2.0f), ln3 = std::log(3.0f);
  const auto near = [](float value) { return testing::FloatNear(value, 1e-6f); };
  // Probabilities 1/10, 2/10, 3/10, 4/10.
  const std::vector<float> logits = {0, ln2, ln3, 2 * ln2};
  EXPECT_THAT(routed(2, kSoftmaxFirst, false, logits), ElementsAre(0, 0, near(0.3f), near(0.4f)));
  EXPECT_THAT(routed(2, kSoftmaxFirst, true, logits),
              ElementsAre(0, 0, near(3.0f / 7), near(4.0f / 7)));
  EXPECT_THAT(routed(3, RouterKind::choose_then_softmax, false, logits),
              ElementsAre(0, near(2.0f / 9), near(3.0f / 9), near(4.0f / 9)));
  // Equal logits: the first ones. Large ones: no overflow.
  EXPECT_THAT(routed(1, kSoftmaxFirst, false, {500, 500}), ElementsAre(near(0.5f), 0));
}

}  // namespace
}  // namespace massact
