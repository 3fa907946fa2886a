// What edit plans are refused for before anything runs.
#include "massact/edit/edit_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "massact/base/error.h"
#include "paths.h"

namespace massact::edit {
namespace {

using ::testing::HasSubstr;
using testing_support::golden_folder;

EditPlan parse(const std::string& model, const std::string& variants) {
  const std::string text =
      R"({"schema": "massact.edit-plan", "schema_version": 1, "variants": )" + variants + "}";
  return EditPlan::parse(JsonObject(parse_json(text, "plan.json"), "plan.json"),
                         open_model(golden_folder() / model));
}

struct Refused {
  const char* name;
  const char* variant;  // its edits or weights
  const char* said;
  const char* model = "models/planted";
};

class RefusedPlans : public ::testing::TestWithParam<Refused> {};

TEST_P(RefusedPlans, WhenTheyAreRead) {
  const Refused& bad = GetParam();
  try {
    parse(bad.model, std::string(R"([{"name": "a", )") + bad.variant + "}]");
    FAIL() << "accepted";
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), HasSubstr("plan.json: variants[0]"));
    EXPECT_THAT(error.what(), HasSubstr(bad.said));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Table, RefusedPlans,
    ::testing::Values(
        Refused{"UnknownWeight", R"("weights": [{"weight": "blocks.1.mlp.W_uot", "row": 0}])",
                "blocks.1.mlp.W_out"},
        Refused{"RowBeyond", R"("weights": [{"weight": "blocks.1.mlp.W_out", "row": 1},
                                            {"weight": "blocks.1.mlp.W_out", "row": 32}])",
                "weights[1]] expected a row below 32"},
        Refused{"ColumnBeyond", R"("weights": [{"weight": "blocks.1.mlp.W_out", "column": 48}])",
                "column below 48"},
        Refused{"ExpertsAreNoRows", R"("weights": [{"weight": "experts.0.3.W_out", "row": 20}])",
                "row below 20", "models/gpt-oss"},
        Refused{"SameElement", R"("weights": [{"weight": "blocks.1.mlp.W_out", "row": 1},
                                              {"weight": "blocks.1.mlp.W_out", "column": 2}])",
                "contradicts another edit"},
        Refused{"FactorOfPruning", R"("weights": [{"weight": "blocks.1.mlp.W_out",
                                                   "prune_rows": 1, "factor": 2}])",
                "no factor"},
        Refused{"HugeFactor", R"("weights": [{"weight": "blocks.1.mlp.W_out", "row": 1,
                                              "factor": 1e39}])",
                "a 32-bit float holds"},
        Refused{"HugeValue", R"("edits": [{"layer": 2, "action": "set", "value": -1e39}])",
                "a 32-bit float holds"},
        Refused{"NoLayer", R"("edits": [{"layer": [], "action": "zero", "dimensions": [1]}])",
                "at least one layer"},
        Refused{"LayerTwice", R"("edits": [{"layer": [2, 2], "action": "quantise"}])",
                "each layer once"},
        Refused{"PositionTwice",
                R"("edits": [{"layer": 2, "positions": [3, 3], "action": "zero"}])",
                "each position once"},
        Refused{"NegativePosition",
                R"("edits": [{"layer": 2, "positions": [-1], "action": "zero"}])",
                "positions from 0"},
        Refused{"DimensionTwice", R"("edits": [{"layer": 2, "dimensions": [3, 3],
                                                "action": "zero"}])",
                "each dimension once"},
        Refused{"FieldOfAnotherAction", R"("edits": [{"layer": 2, "action": "scale", "factor": 2,
                                                      "value": 3}])",
                "expected no such field for scale"},
        Refused{"FoundElsewhere", R"("edits": [{"layer": 2, "site": "mlp_out",
                                                "positions": "found", "action": "zero"}])",
                "residual stream"},
        Refused{"AddedToWindows", R"("added_tokens": 1)", "windows", "vision/sam"},
        Refused{"AddedBeforeTheBlocks", R"("added_tokens": 1, "edits": [
                    {"site": "hook_embed", "action": "zero"}])",
                "within the blocks", "vision/vit"},
        Refused{"MovedFromThere", R"("added_tokens": 1, "edits": [
                    {"layer": 1, "positions": "added", "action": "move"}])",
                "got added", "vision/vit"}),
    [](const auto& param_info) { return param_info.param.name; });

// The sequences are known, nothing has run.
std::string refusal(const std::string& model, const std::string& variant) {
  const EditPlan plan = parse(model, "[{\"name\": \"a\", " + variant + "}]");
  try {
    const ModelConfig config = open_model(golden_folder() / model).config();
    (void)build_edits(plan.variants.front(), {}, {{1, 2, 3, 4}}, config);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(BuildEdits, RefusesWhatNoSequenceHas) {
  EXPECT_THAT(refusal("models/planted", R"("edits": [{"layer": 2, "positions": [4],
                                                      "action": "zero"}])"),
              HasSubstr("matched nothing"));
  EXPECT_EQ(refusal("models/planted", R"("edits": [{"layer": 2, "positions": [3],
                                                    "action": "zero"}])"),
            "accepted");
}

TEST(BuildEdits, RefusesTwoEditsOfAnAddedToken) {
  const char* one = R"("added_tokens": 1, "edits": [
      {"layer": 1, "positions": [4], "dimensions": [3], "action": "zero"}])";
  const char* two = R"("added_tokens": 1, "edits": [
      {"layer": 1, "positions": [4], "dimensions": [3], "action": "zero"},
      {"layer": 1, "positions": [4], "dimensions": [2, 3], "action": "set", "value": 1}])";
  EXPECT_EQ(refusal("vision/vit", one), "accepted");
  EXPECT_THAT(refusal("vision/vit", two), HasSubstr("edits[1]] contradicts"));
}

TEST(BuildEdits, RefusesToQuantiseTwice) {
  EXPECT_THAT(refusal("models/planted", R"("edits": [{"layer": "all", "action": "quantise"},
                                                     {"layer": 2, "action": "quantise"}])"),
              HasSubstr("both quantise blocks.1.hook_resid_post"));
  EXPECT_EQ(refusal("models/planted", R"("edits": [{"layer": 2, "action": "zero"},
                                                   {"layer": 2, "action": "quantise"}])"),
            "accepted");
}

}  // namespace
}  // namespace massact::edit
