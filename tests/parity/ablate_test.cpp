// Ablation of the planted model against what HF forward hooks measured
// (tests/golden/models/planted/expected.json), and what edits promise.
#include "massact/study/ablate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "massact/base/error.h"
#include "massact/eval/scorer.h"
#include "massact/io/json.h"
#include "massact/study/ablate_variants.h"
#include "parity/collect.h"

namespace massact {
namespace {

using namespace testing_support;
using testing::Contains;
using testing::HasSubstr;

Model planted() { return open_model(golden_folder() / "models" / "planted"); }

struct Prepared {
  CalibrationSplit split;
  MeasureSet set;
};

Prepared prepare(const Model& model, std::int64_t seq_len = 64, BosPolicy bos = BosPolicy::always) {
  PerplexityRequest request{eval::Convention::hf, seq_len, 0, bos};
  const std::vector<std::filesystem::path> files = {golden_folder() / "texts" / "harbour.txt"};
  Prepared prepared{split_text(model, streams_of_files(files, model.tokenizer(), {}), request), {}};
  prepared.set.add(model, prepared.split.evaluation, request);
  return prepared;
}

AblateResult ablate(const Model& model, AblateOptions options = {}) {
  const Prepared prepared = prepare(model);
  options.run.precision = ops::Precision::f32;
  NoProgress progress;
  return run_ablate(model, prepared.set, prepared.split, options, progress);
}

const VariantRow& row_of(const AblateResult& result, const std::string& name) {
  for (const VariantRow& row : result.rows) {
    if (row.name == name) return row;
  }
  throw std::runtime_error("no variant " + name);
}

edit::EditPlan plan_of(const Model& model, const std::string& variants) {
  const std::string text =
      R"({"schema": "massact.edit-plan", "schema_version": 1, "variants": )" + variants + "}";
  return edit::EditPlan::parse(JsonObject(parse_json(text, "plan.json"), "plan.json"), model);
}

AblateResult ablate_by(const Model& model, const std::string& variants) {
  AblateOptions options;
  options.plan = plan_of(model, variants);
  return ablate(model, options);
}

TEST(Ablate, ThePlantedModelBreaksAndHealsAsHfHooksSay) {
  const auto expected =
      JsonObject::from_file(golden_folder() / "models" / "planted" / "expected.json", 1 << 20);
  const AblateResult result = ablate(planted());
  ASSERT_TRUE(result.targets.has_value());
  EXPECT_EQ(result.targets->layer, expected.get<int>("edit_layer"));
  EXPECT_EQ(result.split.calibration_windows,
            expected.get<std::vector<std::int64_t>>("calibration_chunks").at(1));
  for (const char* name : {"original", "zero", "mean"}) {
    const JsonObject wanted = expected.object("variants").object(name);
    const Measures& measures = row_of(result, name).measures;
    const double perplexity = wanted.get<double>("perplexity");
    EXPECT_NEAR(measures.perplexities.front().perplexity.value, perplexity, 1e-4 * perplexity)
        << name;
    EXPECT_TRUE(measures.perplexities.front().perplexity.error.has_value());
    if (!measures.divergence) continue;
    const double kl = wanted.get<double>("mean_kl");
    // The oracle averages full stops over both position classes: that moves a KL of 1e-8.
    EXPECT_NEAR(measures.divergence->mean_kl.value, kl, 1e-4 * kl + 2e-8) << name;
    EXPECT_NEAR(measures.divergence->top1_agreement.value, wanted.get<double>("top1_agreement"),
                1e-9)
        << name;
  }
  // One sentence about all targets and one about each of them.
  EXPECT_EQ(result.verdicts.size(), 1 + result.targets->targets.size());
  EXPECT_THAT(result.verdicts.front(), HasSubstr("multiplies perplexity by"));
}

class CountingProgress final : public Progress {
 public:
  void begin(std::string_view, std::uint64_t, std::string_view) override { ++begun; }
  void update(std::uint64_t, std::string_view) override {}
  void end() override {}

  int begun = 0;
};

// What the evaluation takes with so many streams at a time.
std::uint64_t memory_of(const Model& model, const Prepared& prepared, std::int64_t streams) {
  const Plan plan(model, eval::sequences_of(prepared.set.windows()));
  const auto lengths = plan.lengths();
  // Scores of all, and the original's once more.
  const auto scores = static_cast<std::int64_t>(eval::score_bytes(prepared.set.windows()));
  std::int64_t rows = 0;
  for (const std::int64_t length : lengths) rows += length;
  return smallest_memory(model,
                         {.lengths = lengths,
                          .streams = streams,
                          .logits = true,
                          .blocks_run = model.config().layers,
                          .precision = ops::Precision::f32,
                          .kept = static_cast<std::uint64_t>((1 + streams) * scores + 16 * rows),
                          .threads = 1});
}

TEST(Ablate, VariantsThatDoNotFitTogetherRunInGroupsWithTheSameResult) {
  const Model model = planted();
  const Prepared prepared = prepare(model, 256);
  AblateOptions options;
  // None needs a scan, which would take more than a few variants do.
  options.plan = plan_of(model, R"([
    {"name": "half", "edits": [{"layer": 3, "action": "scale", "factor": 0.5}]},
    {"name": "early", "edits": [{"layer": 1, "action": "scale", "factor": 0.5}]},
    {"name": "clamp", "edits": [{"layer": 2, "action": "clamp", "limit": 10}]},
    {"name": "noise", "edits": [{"layer": 2, "action": "noise", "sigma": 0.1}]},
    {"name": "all", "edits": [{"layer": "all", "action": "clamp", "limit": 100}]}])");
  options.run.precision = ops::Precision::f32;
  options.run.threads = 1;
  NoProgress progress;
  const AblateResult whole = run_ablate(model, prepared.set, prepared.split, options, progress);
  options.run.memory = memory_of(model, prepared, 4);
  const AblateResult parts = run_ablate(model, prepared.set, prepared.split, options, progress);
  EXPECT_THAT(parts.warnings, Contains(HasSubstr("the memory budget holds 3 of")));
  EXPECT_GT(parts.forward_passes, whole.forward_passes);
  ASSERT_EQ(parts.rows.size(), whole.rows.size());
  for (std::size_t i = 0; i < whole.rows.size(); ++i) {
    const VariantRow &a = whole.rows[i], &b = parts.rows[i];
    EXPECT_EQ(a.name, b.name);
    EXPECT_EQ(a.scalars, b.scalars);
    EXPECT_EQ(a.measures.perplexities.front().perplexity.value,
              b.measures.perplexities.front().perplexity.value);
    EXPECT_EQ(a.measures.divergence.has_value(), b.measures.divergence.has_value());
    if (!a.measures.loss_changes.empty()) {
      EXPECT_EQ(a.measures.loss_changes.front().value, b.measures.loss_changes.front().value);
    }
  }
}

TEST(Ablate, ABudgetTooSmallForOneVariantIsRefusedBeforeTheScan) {
  const Model model = planted();
  const Prepared prepared = prepare(model, 256);
  AblateOptions options;
  options.run.precision = ops::Precision::f32;
  options.run.threads = 1;
  options.run.memory = memory_of(model, prepared, 2) - 1;
  CountingProgress progress;
  EXPECT_THROW(run_ablate(model, prepared.set, prepared.split, options, progress), UsageError);
  EXPECT_EQ(progress.begun, 0);
}

TEST(Ablate, ControlsAreAsManyAsWhatTheSelectorTakes) {
  AblateOptions options;
  options.selector = SelectorKind::position_class;
  options.each_layer = true;
  const AblateResult result = ablate(planted(), options);
  const std::int64_t zeroed = row_of(result, "zero").scalars;
  // Every delimiter, not only the full stops that are massive.
  EXPECT_GT(zeroed, row_of(ablate(planted()), "zero").scalars);
  for (const char* name : {"random", "median-like", "zero at layer 3"}) {
    EXPECT_EQ(row_of(result, name).scalars, zeroed) << name;
  }
}

TEST(Ablate, TheNextDimensionsAreAControlThatHardlyMatters) {
  const auto expected =
      JsonObject::from_file(golden_folder() / "models" / "planted" / "expected.json", 1 << 20);
  // The oracle's control: every massive scalar's right neighbour, zeroed. Full stops are the only
  // delimiters of this text that are massive: position classes would take commas as well.
  const Model model = planted();
  const Prepared prepared = prepare(model);
  NoProgress progress;
  TargetSearch search =
      search_texts(model, prepared.split.calibration, eval::sequences_of(prepared.set.windows()),
                   PositionLists::defaults());
  const Targets targets = find_targets(search, {}, {}, progress);
  edit::ScalarLists neighbours = *targets.found.at(2);
  for (auto& [sequence, list] : neighbours) {
    for (auto& scalar : list) ++scalar.dimension;
  }
  const auto windows = std::make_shared<const std::vector<eval::Window>>(prepared.set.windows());
  Plan plan(model, eval::sequences_of(*windows));
  std::vector<SiteEdit> edits;
  edits.push_back(
      {{SiteKind::resid_post, 1},
       edit::edit_scalars(
           edit::by_list("neighbours",
                         std::make_shared<const edit::ScalarLists>(std::move(neighbours)), 0),
           edit::zero(), 0)});
  plan.fork("control", std::move(edits));
  const auto board = eval::ScoreBoard::attach(plan, windows);
  run(plan, {.precision = ops::Precision::f32}, progress);
  const Measures measures = measures_of(prepared.set, board.of(1), &board.of(0));
  const JsonObject wanted = expected.object("variants").object("control");
  const double perplexity = wanted.get<double>("perplexity");
  EXPECT_NEAR(measures.perplexities.front().perplexity.value, perplexity, 1e-4 * perplexity);
  EXPECT_NEAR(measures.divergence->mean_kl.value, wanted.get<double>("mean_kl"), 1e-7);
  EXPECT_NEAR(measures.divergence->top1_agreement.value, wanted.get<double>("top1_agreement"),
              1e-9);
}

TEST(Ablate, ControlsEditAsManyScalarsAndBreakNothing) {
  const AblateResult result = ablate(planted());
  const double original = result.rows.front().measures.perplexities.front().perplexity.value;
  for (const char* name : {"random", "median-like"}) {
    const VariantRow& control = row_of(result, name);
    EXPECT_EQ(control.scalars, row_of(result, "zero").scalars) << name;
    const double perplexity = control.measures.perplexities.front().perplexity.value;
    EXPECT_NEAR(perplexity, original, 0.02 * original) << name;
  }
}

TEST(Ablate, ASweepPassesThroughZeroAndTheOriginal) {
  AblateOptions options;
  options.sweep = {0.0, 0.5, 1.0};
  options.each_layer = true;
  const AblateResult result = ablate(planted(), options);
  const auto loss = [&](const std::string& name) {
    return row_of(result, name).measures.perplexities.front().loss.value;
  };
  EXPECT_EQ(loss("x 0"), loss("zero"));
  EXPECT_EQ(loss("x 1"), loss("original"));
  EXPECT_EQ(row_of(result, "x 1").measures.divergence->max_kl, 0.0);
  EXPECT_GT(loss("x 0.5"), loss("original"));
  EXPECT_EQ(loss("zero at layer 2"), loss("zero"));
  EXPECT_EQ(row_of(result, "zero at layer 4").layer, 4);
}

TEST(Ablate, AValueThatIsAlreadyThereIsBitwiseNeutral) {
  const AblateResult result = ablate_by(planted(), R"([
    {"name": "times one", "edits": [{"layer": 3, "positions": "all", "action": "scale", "factor": 1}]},
    {"name": "wide clamp", "edits": [{"layer": "all", "action": "clamp", "limit": 1e30}]},
    {"name": "no noise", "edits": [{"site": "hook_embed", "action": "noise", "sigma": 0}]}])");
  const auto& original = result.rows.front().measures.perplexities.front();
  ASSERT_EQ(result.rows.size(), 4u);
  for (std::size_t i = 1; i < result.rows.size(); ++i) {
    const Measures& measures = result.rows[i].measures;
    EXPECT_EQ(measures.perplexities.front().log_likelihood, original.log_likelihood);
    EXPECT_EQ(measures.divergence->max_kl, 0.0) << result.rows[i].name;
    EXPECT_EQ(measures.divergence->top1_agreement.value, 1.0);
    EXPECT_GT(result.rows[i].scalars, 0);
  }
}

TEST(Ablate, APlanSaysWhatTheAutomaticVariantsDo) {
  const AblateResult automatic = ablate(planted());
  const AblateResult planned = ablate_by(planted(), R"([
    {"name": "zero", "edits": [{"layer": 2, "positions": "found", "action": "zero"}]},
    {"name": "mean", "edits": [{"layer": 2, "site": "resid_post", "positions": "found", "action": "mean"}]},
    {"name": "full name", "edits": [{"site": "blocks.1.hook_resid_post", "positions": "found", "action": "zero"}]}])");
  const auto likelihood = [](const AblateResult& result, const std::string& name) {
    return row_of(result, name).measures.perplexities.front().log_likelihood;
  };
  EXPECT_EQ(likelihood(planned, "zero"), likelihood(automatic, "zero"));
  EXPECT_EQ(likelihood(planned, "full name"), likelihood(automatic, "zero"));
  EXPECT_EQ(likelihood(planned, "mean"), likelihood(automatic, "mean"));
}

TEST(Ablate, EightBitsNeedTheMassiveScalarsApart) {
  const AblateResult result = ablate_by(planted(), R"([
    {"name": "in", "edits": [{"layer": 2, "action": "quantise", "bits": 8, "per": "tensor"}]},
    {"name": "kept", "edits": [{"layer": 2, "action": "quantise", "bits": 8, "per": "tensor", "massive": "kept"}]},
    {"name": "mean", "edits": [{"layer": 2, "action": "quantise", "bits": 8, "per": "tensor", "massive": "mean"}]}])");
  const auto kl = [&](const std::string& name) {
    return row_of(result, name).measures.divergence->mean_kl.value;
  };
  EXPECT_GT(kl("in"), 10.0 * kl("kept"));
  EXPECT_NEAR(kl("mean"), kl("kept"), 0.1 * kl("kept"));
}

TEST(Ablate, WeightsAreEditedInARunOfTheirOwn) {
  const Model model = planted();
  const AblateResult result = ablate_by(model, R"([
    {"name": "same", "weights": [{"weight": "blocks.1.mlp.W_out", "row": 0, "column": 0, "factor": 1}]},
    {"name": "pruned", "weights": [{"weight": "blocks.1.mlp.W_out", "prune_rows": 2}]}])");
  const auto& original = result.rows.front().measures.perplexities.front();
  EXPECT_EQ(row_of(result, "same").measures.perplexities.front().log_likelihood,
            original.log_likelihood);
  EXPECT_NE(row_of(result, "pruned").measures.perplexities.front().log_likelihood,
            original.log_likelihood);
  EXPECT_THROW(plan_of(model, R"([{"name": "x", "weights": [{"weight": "nothing", "row": 0,
                                   "column": 0}]}])"),
               UsageError);
  EXPECT_THROW(plan_of(model, R"([{"name": "x", "weights": [{"weight": "blocks.1.mlp.W_out",
                                     "row": 32, "column": 0}]}])"),
               UsageError);
}

TEST(Ablate, ForwardPassesCountWhatEachVariantRuns) {
  const auto passes = [model = planted()](const std::string& what) {
    return ablate_by(model, "[{\"name\": \"a\", " + what + "}]").forward_passes;
  };
  const std::string weights = R"("weights": [{"weight": "blocks.1.mlp.W_out", "row": 0}])";
  EXPECT_EQ(passes(R"("edits": [{"layer": 3, "action": "scale", "factor": 2}])"), 1.5);
  EXPECT_EQ(passes(weights), 2.0);
  EXPECT_EQ(passes(weights + R"(, "edits": [{"layer": 3, "action": "scale", "factor": 2}])"), 2.5);
  EXPECT_EQ(passes(R"("edits": [{"site": "ln_final.hook_out", "action": "scale", "factor": 2}])"),
            1.0);
  EXPECT_EQ(passes(R"("edits": [{"site": "hook_logits", "action": "scale", "factor": 2}])"), 1.0);
  EXPECT_EQ(passes(R"("edits": [{"site": "hook_embed", "action": "scale", "factor": 2}])"), 2.0);
  EXPECT_EQ(passes(R"("edits": [{"site": "hook_logits", "action": "scale", "factor": 2},
                                {"layer": 3, "action": "scale", "factor": 2}])"),
            1.5);
}

TEST(Ablate, NoiseIsTheSameHoweverItRuns) {
  const Model model = planted();
  const Prepared prepared = prepare(model);
  AblateOptions options;
  options.plan = plan_of(model, R"([
    {"name": "a", "edits": [{"layer": "all", "action": "noise", "sigma": 0.1, "relative": true},
                            {"layer": "all", "site": "mlp_out", "action": "noise", "sigma": 0.1}]}])");
  options.run.precision = ops::Precision::f32;
  NoProgress progress;
  const auto likelihood = [&] {
    return row_of(run_ablate(model, prepared.set, prepared.split, options, progress), "a")
        .measures.perplexities.front()
        .log_likelihood;
  };
  options.run.threads = 1;
  const auto one = likelihood();
  options.run.threads = 2;
  EXPECT_EQ(likelihood(), one);
  options.run.threads = 1;
  options.run.memory = memory_of(model, prepared, 2);
  EXPECT_EQ(likelihood(), one);
  options.run.memory = 0;
  options.plan->variants.front().edits.pop_back();
  EXPECT_NE(likelihood(), one);
}

// A neuron is silent without its row of the up projection and unheard without its column of the
// down projection: the same thing.
TEST(Ablate, WholeRowsAndColumnsOfWeights) {
  const AblateResult result = ablate_by(planted(), R"([
    {"name": "silent", "weights": [{"weight": "blocks.1.mlp.W_in", "row": 13}]},
    {"name": "unheard", "weights": [{"weight": "blocks.1.mlp.W_out", "column": 13}]}])");
  const auto log_likelihood = [&](const std::string& name) {
    return row_of(result, name).measures.perplexities.front().log_likelihood;
  };
  EXPECT_EQ(log_likelihood("silent"), log_likelihood("unheard"));
  EXPECT_LT(log_likelihood("silent"), 1.1 * log_likelihood("original"));
}

TEST(Ablate, ModelsWithoutMassiveActivationsSayWhatIsAblatedInstead) {
  AblateOptions options;
  options.rule = Rule::thresholds(1e9, 1.0);
  const AblateResult result = ablate(planted(), options);
  // The automatic rule still finds the planted ones.
  EXPECT_EQ(result.targets->findings.rule.kind, RuleKind::automatic);
  EXPECT_EQ(result.targets->layer, 2);
  EXPECT_THAT(result.warnings, testing::Contains(HasSubstr("finds nothing: trying auto")));
}

struct BadPlan {
  const char* name;
  const char* variants;
  const char* said;
};

class BadPlans : public testing::TestWithParam<BadPlan> {};

TEST_P(BadPlans, AreRefused) {
  try {
    ablate_by(planted(), GetParam().variants);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr(GetParam().said));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Table, BadPlans,
    testing::Values(
        BadPlan{"UnknownSite", R"([{"name": "a", "edits": [{"site": "blocks.1.hook_resid_pots",
                                   "action": "zero"}]}])",
                "hook_resid_post"},
        BadPlan{"LayerBeyond", R"([{"name": "a", "edits": [{"layer": 7, "action": "zero"}]}])",
                "to 6, got 7"},
        BadPlan{"BothNames", R"([{"name": "a", "edits": [{"layer": 2,
                                 "site": "blocks.1.hook_resid_post", "action": "zero"}]}])",
                "short site name"},
        BadPlan{"DimensionBeyond", R"([{"name": "a", "edits": [{"layer": 2, "dimensions": [32],
                                       "action": "zero"}]}])",
                "0 to 31"},
        BadPlan{"Contradiction", R"([{"name": "a", "edits": [
                  {"layer": 2, "positions": "start", "dimensions": [5], "action": "zero"},
                  {"layer": 2, "positions": [0, 3], "dimensions": [4, 5], "action": "set", "value": 1}]}])",
                "both change dimension 5 at position 0"},
        BadPlan{"NoValue", R"([{"name": "a", "edits": [{"layer": 2, "action": "set"}]}])", "value"},
        BadPlan{"UnknownAction", R"([{"name": "a", "edits": [{"layer": 2, "action": "erase"}]}])",
                "'erase'"},
        BadPlan{"UnknownField", R"([{"name": "a", "edits": [{"layer": 2, "action": "zero",
                                    "dimension": 5}]}])",
                "unknown field"},
        BadPlan{"UnknownClass", R"([{"name": "a", "edits": [{"layer": 2, "positions": "middle",
                                    "action": "zero"}]}])",
                "middle"},
        BadPlan{"TwoOfAName", R"([{"name": "a", "edits": [{"layer": 2, "action": "zero"}]},
                                  {"name": "a", "edits": [{"layer": 3, "action": "zero"}]}])",
                "a name of its own"},
        BadPlan{"MatchesNothing", R"([{"name": "a", "edits": [{"layer": 2, "positions": [99],
                                      "action": "zero"}]}])",
                "matched nothing"},
        BadPlan{"NothingFoundThere", R"([{"name": "a", "edits": [{"layer": 6, "positions": "found",
                                         "action": "zero"}]}])",
                "no scalar meets the rule there"},
        BadPlan{"Empty", "[]", "at least one variant"}),
    [](const auto& param_info) { return param_info.param.name; });

TEST(Split, TheFirstFifthCalibrates) {
  const Model model = planted();
  const Prepared prepared = prepare(model);
  EXPECT_EQ(prepared.split.calibration.size(), 2u);
  EXPECT_EQ(prepared.set.windows().size(), 9u);
  EXPECT_THROW(prepare(model, 500), Error);
}

TEST(Split, OverlapIsCounted) {
  const Model model = planted();
  const std::vector<std::filesystem::path> files = {golden_folder() / "texts" / "harbour.txt"};
  const auto streams = streams_of_files(files, model.tokenizer(), {});
  const auto split =
      split_text(model, streams, streams, {eval::Convention::hf, 64, 0, BosPolicy::always});
  EXPECT_EQ(split.split.overlap, split.split.calibration_windows);
}

// The prefix token in front of the evaluation's first window is massive, and only there.
TEST(Split, CalibrationBeginsWithLmEvalsPrefix) {
  const Model model = planted();
  const std::int32_t bos = *model.tokenizer().bos();
  const std::vector<std::filesystem::path> files = {golden_folder() / "texts" / "harbour.txt"};
  const auto streams = streams_of_files(files, model.tokenizer(), {});
  const PerplexityRequest request{eval::Convention::lm_eval, 64, 0, BosPolicy::automatic};
  const auto both = split_text(model, streams, streams, request);
  EXPECT_EQ(both.split.overlap, both.split.calibration_windows);
  Prepared prepared{split_text(model, streams, request), {}};
  const auto& calibration = prepared.split.calibration;
  ASSERT_EQ(calibration.size(), 2u);
  EXPECT_EQ(calibration[0].front(), bos);
  EXPECT_NE(calibration[1].front(), bos);
  for (const auto& window : calibration) EXPECT_EQ(window.size(), 64u);
  prepared.set.add(model, prepared.split.evaluation, request);
  NoProgress progress;
  const AblateResult result = run_ablate(model, prepared.set, prepared.split, {}, progress);
  const auto changed_by = [&](const std::string& variant) {
    return row_of(result, variant).measures.loss_changes.front().value;
  };
  EXPECT_NEAR(changed_by("mean"), 0.0, 1e-3);
  EXPECT_GT(changed_by("zero"), 0.1);
}

}  // namespace
}  // namespace massact
