// What the executor promises: results do not depend on how the work is cut, forks equal separate
// runs, edits are what everything downstream reads, and nothing goes unnoticed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "massact/base/error.h"
#include "massact/base/interrupt.h"
#include "parity/collect.h"

namespace massact {
namespace {

using namespace testing_support;
using testing::HasSubstr;

const std::vector<Plan::Tokens> kTexts = {{3, 1, 4, 1, 5, 9, 2, 6}, {5}, {3, 5, 8, 9, 7, 9, 3}};

Model model_of(const std::string& name) { return open_model(golden_folder() / "models" / name); }

std::vector<Site> visible_sites(const ModelConfig& config) {
  auto sites = all_sites(config);
  std::erase_if(sites, [](Site site) { return is_attention_map(site.kind); });
  return sites;
}

// Sets a column of the rows it sees, at one position (-1: all).
class SetColumn final : public Edit {
 public:
  SetColumn(std::int64_t position, std::int64_t column, float value)
      : position_(position), column_(column), value_(value) {}
  std::int64_t apply(const SiteView& view) override {
    std::int64_t count = 0;
    for (std::int64_t r = 0; r < view.values.rows; ++r) {
      if (position_ >= 0 && view.first_position + r != position_) continue;
      view.values(r, column_) = value_;
      ++count;
    }
    return count;
  }
  std::string description() const override { return "set a column"; }

 private:
  std::int64_t position_, column_;
  float value_;
};

// Claims to write every value, and writes what is already there.
class Rewrite final : public Edit {
 public:
  std::int64_t apply(const SiteView& view) override { return view.values.rows; }
  std::string description() const override { return "rewrite"; }
};

std::vector<SiteEdit> one_edit(Site site, std::unique_ptr<Edit> edit) {
  std::vector<SiteEdit> edits;
  edits.push_back({site, std::move(edit)});
  return edits;
}

// Runs a fork with `edits` and gives what it shows from its own stream.
SiteValues collect_fork(const Model& model, const std::vector<Plan::Tokens>& texts,
                        std::vector<SiteEdit> edits, const RunOptions& options = {}) {
  Plan plan(model, texts);
  const int stream = plan.fork("fork", std::move(edits));
  auto& collected = plan.observe(visible_sites(model.config()), Collect{}, stream);
  NoProgress progress;
  run(plan, options, progress);
  return collected.values();
}

class Precisions : public testing::TestWithParam<ops::Precision> {};

TEST_P(Precisions, BatchThreadsAndPassesDoNotChangeABit) {
  const Model model = model_of("llama-gqa-tied");
  const auto sites = visible_sites(model.config());
  std::vector<Plan::Tokens> many;
  for (int i = 0; i < 40; ++i) many.push_back(kTexts[static_cast<std::size_t>(i) % kTexts.size()]);
  const auto reference = collect(model, many, sites, {.precision = GetParam(), .threads = 1});
  EXPECT_EQ(collect(model, many, sites, {.precision = GetParam(), .threads = 3}), reference);
  // Alone, each text gives what it gives in company.
  const auto alone = collect(model, {many[2]}, sites, {.precision = GetParam(), .threads = 2});
  for (const auto& [key, values] : alone) EXPECT_EQ(values, reference.at({2, key.second}));

  // A budget that forces several passes, streaming and resident.
  Plan plan(model, many);
  auto& collected = plan.observe(sites, Collect{});
  const MemoryPlan needs = plan_memory(plan, {.precision = GetParam()});
  NoProgress progress;
  const RunOptions tight{.precision = GetParam(), .memory = needs.total - needs.hidden / 2};
  const auto report = run(plan, tight, progress);
  EXPECT_GT(report.memory.passes(), 1);
  EXPECT_EQ(collected.values(), reference);
}

TEST_P(Precisions, RewritingWhatIsThereChangesNothing) {
  for (const char* name : {"llama-gqa-tied", "gpt2"}) {
    const Model model = model_of(name);
    const RunOptions options{.precision = GetParam()};
    const auto reference = collect(model, kTexts, visible_sites(model.config()), options);
    for (const Site site : visible_sites(model.config())) {
      const auto forked =
          collect_fork(model, kTexts, one_edit(site, std::make_unique<Rewrite>()), options);
      EXPECT_EQ(forked, reference) << name << " " << name_of(site);
    }
  }
}

TEST_P(Precisions, AForkEqualsASeparateRun) {
  const Model model = model_of("llama-gqa-tied");
  for (const Site site : visible_sites(model.config())) {
    const auto edit = [&] { return one_edit(site, std::make_unique<SetColumn>(-1, 0, 0.75f)); };
    const RunOptions options{.precision = GetParam()};
    // With company: another fork that starts earlier, and one that starts later.
    Plan plan(model, kTexts);
    plan.fork("early", one_edit({SiteKind::embed, -1}, std::make_unique<SetColumn>(0, 1, 2.0f)));
    const int stream = plan.fork("fork", edit());
    plan.fork("late", one_edit({SiteKind::resid_post, static_cast<int>(model.config().layers) - 1},
                               std::make_unique<SetColumn>(0, 1, 2.0f)));
    auto& watched = plan.observe(visible_sites(model.config()), Collect{}, stream);
    auto& original = plan.observe(visible_sites(model.config()), Collect{});
    NoProgress progress;
    run(plan, options, progress);
    EXPECT_EQ(watched.values(), collect_fork(model, kTexts, edit(), options)) << name_of(site);
    EXPECT_EQ(original.values(), collect(model, kTexts, visible_sites(model.config()), options));
  }
}

INSTANTIATE_TEST_SUITE_P(Both, Precisions,
                         testing::Values(ops::Precision::f32, ops::Precision::bf16),
                         [](const auto& param_info) {
                           return std::string(ops::name_of(param_info.param));
                         });

TEST(Executor, EditsReachEverythingDownstreamAndNothingUpstream) {
  const Model model = model_of("llama-gqa-tied");
  const auto sites = visible_sites(model.config());
  const auto reference = collect(model, kTexts, sites);
  for (std::size_t i = 0; i < sites.size(); ++i) {
    const auto edited =
        collect_fork(model, kTexts, one_edit(sites[i], std::make_unique<SetColumn>(-1, 0, 7.0f)));
    for (std::size_t j = 0; j < i; ++j) {
      EXPECT_EQ(edited.at({0, name_of(sites[j])}), reference.at({0, name_of(sites[j])}))
          << name_of(sites[i]) << " changed " << name_of(sites[j]);
    }
    EXPECT_NE(edited.at({0, name_of(sites[i])}), reference.at({0, name_of(sites[i])}));
    EXPECT_NE(edited.at({0, "hook_logits"}), reference.at({0, "hook_logits"})) << name_of(sites[i]);
  }
}

TEST(Executor, AttentionMapsCanBeEdited) {
  const Model model = model_of("llama-gqa-tied");
  const auto reference = collect(model, kTexts, {{SiteKind::logits, -1}});
  for (const SiteKind kind : {SiteKind::attn_scores, SiteKind::pattern}) {
    Plan plan(model, kTexts);
    const int stream =
        plan.fork("map", one_edit({kind, 1}, std::make_unique<SetColumn>(-1, 0, 0.5f)));
    auto& logits = plan.observe({{SiteKind::logits, -1}}, Collect{}, stream);
    NoProgress progress;
    run(plan, {}, progress);
    EXPECT_NE(logits.values().at({0, "hook_logits"}), reference.at({0, "hook_logits"}));
  }
}

TEST(Executor, AnEditThatMatchesNothingIsAnError) {
  Plan plan(model_of("gpt2"), kTexts);
  plan.fork("nowhere", one_edit({SiteKind::resid_post, 0}, std::make_unique<SetColumn>(99, 0, 1)));
  NoProgress progress;
  try {
    run(plan, {}, progress);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("'set a column' of stream 'nowhere' matched nothing"));
  }
}

TEST(Executor, SitesThatTheModelLacksAreNamed) {
  Plan plan(model_of("gpt2"), kTexts);
  try {
    plan.observe({{SiteKind::rot_q, 0}}, Collect{});
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), HasSubstr("no rotary"));
  }
  EXPECT_THROW(plan.observe({{SiteKind::resid_post, 99}}, Collect{}), UsageError);
  EXPECT_THROW(parse_site("blocks.0.hook_resid_pots", plan.model().config()), UsageError);
  EXPECT_EQ(parse_site_kind("resid_post"), SiteKind::resid_post);
  EXPECT_EQ(parse_site_kind("attn.hook_q"), SiteKind::q);
}

TEST(Executor, BadTextsAreRefused) {
  const Model model = model_of("gpt2");
  const auto limit = static_cast<std::size_t>(model.config().max_positions);
  EXPECT_THROW(Plan(model, std::vector<Plan::Tokens>()), Error);
  EXPECT_THROW(Plan(model, std::vector<Plan::Tokens>(1)), Error);
  EXPECT_THROW(Plan(model, {{-1}}), Error);
  EXPECT_THROW(Plan(model, {{static_cast<std::int32_t>(model.config().vocab)}}), Error);
  EXPECT_THROW(Plan(model, {Plan::Tokens(limit + 1, 1)}), Error);
  EXPECT_NO_THROW(Plan(model, {Plan::Tokens(limit, 1)}));
}

TEST(Executor, TooSmallABudgetNamesTheSmallestThatWorks) {
  Plan plan(model_of("gpt2"), kTexts);
  plan.observe({{SiteKind::resid_post, 0}}, Collect{});
  try {
    plan_memory(plan, {.precision = {}, .threads = 0, .memory = 1000});
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), HasSubstr("--memory"));
  }
}

// Later passes read the embedding while the first one's workspace is there, and resident blocks.
TEST(Executor, SeveralPassesCountTheEmbeddingBesideTheWorkspace) {
  const Model model = model_of("llama-mha");
  const std::vector<std::int64_t> lengths(400, 8);
  MemoryRequest request{.lengths = lengths, .blocks_run = model.config().layers};
  const MemoryPlan whole = plan_memory(model, request);
  ASSERT_EQ(whole.passes(), 1);
  request.budget = whole.total - 1;
  const MemoryPlan parts = plan_memory(model, request);
  EXPECT_GT(parts.passes(), 1);
  EXPECT_LE(parts.total, request.budget);
  const std::uint64_t blocks = parts.resident ? parts.blocks : 0;
  EXPECT_GT(parts.embedding, 0u);
  EXPECT_GE(parts.total, parts.program + parts.workspace + blocks + parts.embedding + parts.hidden);
}

// What is computed together is no more than what a pass has: the least budget is one sequence's.
TEST(Executor, PassesOfFewRowsNeedASmallWorkspace) {
  const Model model = model_of("llama-mha");
  const std::vector<std::int64_t> lengths(400, 8);
  MemoryRequest request{.lengths = lengths, .blocks_run = model.config().layers};
  const std::uint64_t smallest = smallest_memory(model, request);
  request.lengths = std::span(lengths).first(1);
  const std::uint64_t alone = plan_memory(model, request).total;
  request.lengths = lengths;
  const std::uint64_t texts = 399 * (8 * 24 + 384), embedding = 1 << 20;
  EXPECT_LE(smallest, alone + texts + embedding);

  request.budget = smallest;
  MemoryPlan plan = plan_memory(model, request);
  EXPECT_EQ(plan.passes(), 400);
  EXPECT_EQ(plan.batch_rows, 8);
  EXPECT_EQ(plan.total, smallest);
  for (std::int64_t passes = 400; passes > 1; passes = plan.passes()) {
    request.budget += 1 << 16;
    plan = plan_memory(model, request);
    EXPECT_LE(plan.total, request.budget);
    EXPECT_LE(plan.passes(), passes);
  }
  request.budget = smallest - 1;
  EXPECT_THROW(plan_memory(model, request), UsageError);
}

TEST(Executor, EveryThreadAndStreamAddsWhatItKeeps) {
  const Model model = open_model(golden_folder() / "models" / "gpt2");
  const Plan plan(model, std::vector<Plan::Tokens>{{1, 2, 3}});
  const auto total = [&](const RunOptions& options) { return plan_memory(plan, options).total; };
  const std::uint64_t one = total({.precision = {}, .threads = 1}),
                      two = total({.precision = {}, .threads = 2});
  EXPECT_GT(two, one);
  EXPECT_EQ(total({.precision = {}, .threads = 3}) - two, two - one);
  EXPECT_EQ(total({.precision = {}, .threads = 1, .kept = 1000}), one + 1000);
  // The budget holds three streams and what is kept of them, but not of four.
  RunToCome run{.plan = plan, .streams = 3, .logits = true, .kept_per_stream = 1 << 20};
  const auto fits = [&](std::uint64_t budget) {
    RunToCome more = run;
    more.streams = 8;
    return streams_that_fit(more, {.precision = {}, .threads = 1, .memory = budget});
  };
  std::uint64_t least = 1;
  for (std::uint64_t step = std::uint64_t{1} << 40; step > 0; step /= 2) {
    try {
      require_memory(std::span(&run, 1), {.precision = {}, .threads = 1, .memory = least + step});
    } catch (const UsageError&) {
      least += step;
    }
  }
  EXPECT_EQ(fits(least + 1), 3);
  EXPECT_EQ(fits(least), 2);
  EXPECT_EQ(fits(least + (1 << 20)), 3) << "a fourth needs its hidden states as well";
}

TEST(Executor, ValuesThatAreNotFiniteSayWhere) {
  const Model model = model_of("llama-gqa-tied");
  Plan plan(model, kTexts);
  plan.fork("broken",
            one_edit({SiteKind::mlp_out, 1},
                     std::make_unique<SetColumn>(2, 3, std::numeric_limits<float>::infinity())));
  plan.observe({{SiteKind::logits, -1}}, Collect{});
  NoProgress progress;
  try {
    run(plan, {}, progress);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("layer 2, blocks.1.hook_resid_post"));
    EXPECT_THAT(error.what(), HasSubstr("stream 'broken', sequence 0, position 2, dimension 3"));
    EXPECT_THAT(error.what(), HasSubstr("overflow"));
  }
}

TEST(Executor, StopsWhenAsked) {
  Plan plan(model_of("gpt2"), kTexts);
  plan.observe({{SiteKind::logits, -1}}, Collect{});
  request_interrupt();
  NoProgress progress;
  EXPECT_THROW(run(plan, {}, progress), Interrupted);
  clear_interrupt();
}

}  // namespace
}  // namespace massact
