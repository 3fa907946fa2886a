// Test-time registers as a user gets them, on a ViT with a neuron that writes outlier patches
// (tools/golden/make_planted_vit.py, whose expected.json is Hugging Face's).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cli/models.h"
#include "cli/program.h"
#include "cli/results.h"
#include "json_schema.h"

namespace massact::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::HasSubstr;

const fs::path kPlantedVit = kGolden / "planted-vit";

Outcome run(const std::string& command, const Arguments& more = {}) {
  Arguments line = {command,       (kPlantedVit / "model").string(),
                    "--images",    (kPlantedVit / "images/list.csv").string(),
                    "--precision", "f32"};
  line.insert(line.end(), more.begin(), more.end());
  return massact(line);
}

json result_of(const Arguments& more = {}) {
  Arguments line = {"--json"};
  line.insert(line.end(), more.begin(), more.end());
  const Outcome outcome = run("registers", line);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  return json::parse(outcome.out);
}

json expected() { return json::parse(read_file(kPlantedVit / "expected.json")); }

TEST(TestTime, FindsTheNeuronAndMovesTheOutliers) {
  const json result = result_of(), wanted = expected();
  EXPECT_EQ(schema_errors(result, schema("registers.schema.json")), std::vector<std::string>{});
  const json& study = result["test_time"];
  EXPECT_EQ(study["outlier_layer"], wanted["layer"]);
  EXPECT_EQ(study["last_layer"], wanted["layer"]);
  ASSERT_EQ(study["neurons"].size(), 1u);
  EXPECT_EQ(study["neurons"][0]["layer"], wanted["layer"]);
  EXPECT_EQ(study["neurons"][0]["neuron"], wanted["neuron"]);
  EXPECT_EQ(study["control"][0]["layer"], wanted["layer"]);
  EXPECT_NE(study["control"][0]["neuron"], wanted["neuron"]);
  ASSERT_EQ(study["variants"].size(), 5u);
  for (std::size_t i = 0; i < 5; ++i) {
    const json& variant = study["variants"][i];
    const std::string name = variant["name"];
    EXPECT_EQ(result["variants"][i]["name"], name);
    if (!wanted["variants"].contains(name)) continue;  // the control is massact's own
    const json& own = wanted["variants"][name];
    const double norm = own["largest_norm"];
    EXPECT_NEAR(variant["largest_norm"]["value"], norm, 1e-4 * norm) << name;
    EXPECT_EQ(variant["outliers"]["value"], own["outliers"]) << name;
    EXPECT_EQ(result["variants"][i]["measures"]["images"]["top1"]["value"], own["top1"]) << name;
  }
}

TEST(TestTime, AttentionGoesToTheAddedToken) {
  const json study = result_of()["test_time"];
  std::map<std::string, json> attention;
  for (const json& variant : study["variants"]) attention[variant["name"]] = variant["attention"];
  const auto share = [&](const char* name, const char* to) -> double {
    return attention.at(name).at(to).at("value");
  };
  EXPECT_GT(share("original", "outliers"), 0.9);
  EXPECT_EQ(share("original", "added"), 0);
  EXPECT_LT(share("token alone", "added"), 0.1);
  EXPECT_GT(share("test-time registers", "added"), 0.9);
  EXPECT_EQ(share("test-time registers", "outliers"), 0);
  EXPECT_GT(share("random neurons", "outliers"), 0.9);
}

// The least budget holds one variant at a time; the runs repeat the original beside each.
TEST(TestTime, TheLeastBudgetChangesNoResult) {
  const auto with = [](std::int64_t bytes) {
    return run("registers", {"--json", "--memory", std::to_string(bytes)});
  };
  std::int64_t refused = 1 << 20, least = 1 << 30;
  while (least - refused > 1) {
    const std::int64_t middle = (refused + least) / 2;
    (with(middle).status == 0 ? least : refused) = middle;
  }
  EXPECT_EQ(with(refused).status, 2);
  const json parts = json::parse(with(least).out), whole = result_of();
  EXPECT_THAT(parts["warnings"].dump(), HasSubstr("holds 1 of 4 variants at a time"));
  EXPECT_EQ(parts["test_time"], whole["test_time"]);
  EXPECT_EQ(parts["variants"], whole["variants"]);
}

// As published: by activation at outliers alone, which a neuron that is always on wins.
TEST(TestTime, ThePublishedRankMeetsTheDecoy) {
  const json study = result_of({"--rank", "activation", "--neurons", "1"})["test_time"];
  EXPECT_EQ(study["neurons"][0]["neuron"], expected()["decoy"]);
  EXPECT_EQ(study["variants"][2]["outliers_change"]["value"], 0);
  EXPECT_TRUE(study["sweep"].empty());
}

TEST(TestTime, ThePlanThatIsSavedDoesTheSame) {
  const fs::path folder = fresh_folder();
  const Outcome outcome = run("registers", {"--out", folder.string()});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  for (const char* word : {"layer 2, 13", "test-time registers", "cls to added", "top-1"}) {
    EXPECT_THAT(outcome.out, HasSubstr(word));
  }
  const json plan = json::parse(read_file(folder / "registers-plan.json"));
  EXPECT_EQ(schema_errors(plan, schema("edit-plan.schema.json")), std::vector<std::string>{});
  EXPECT_THAT(read_file(folder / "registers-neurons.csv"), HasSubstr("\n2,13,"));
  const Outcome ablation =
      run("ablate", {"--plan", (folder / "registers-plan.json").string(), "--json"});
  ASSERT_EQ(ablation.status, 0) << ablation.err;
  const json own = json::parse(read_file(folder / "registers.json"))["variants"][2];
  const json other = json::parse(ablation.out)["variants"][1];
  EXPECT_EQ(other["name"], "test-time registers");
  EXPECT_EQ(own["measures"], other["measures"]);
  EXPECT_EQ(own["scalars"], other["scalars"]);
}

TEST(TestTime, WithoutOutliersNothingIsMoved) {
  const json result = result_of({"--outlier-norm", "1e9"});
  EXPECT_EQ(schema_errors(result, schema("registers.schema.json")), std::vector<std::string>{});
  EXPECT_TRUE(result["test_time"]["neurons"].empty());
  EXPECT_EQ(result["variants"].size(), 1u);
  EXPECT_THAT(result["warnings"].dump(), HasSubstr("no patch is an outlier"));
}

TEST(TestTime, AnEarlierRunsPlanDoesNotStay) {
  const fs::path out = fresh_folder() / "results";
  ASSERT_EQ(run("registers", {"--out", out.string()}).status, 0);
  EXPECT_TRUE(fs::exists(out / "registers-plan.json"));
  ASSERT_EQ(run("registers", {"--out", out.string(), "--outlier-norm", "1e9"}).status, 0);
  EXPECT_FALSE(fs::exists(out / "registers-plan.json"));
  EXPECT_FALSE(fs::exists(out / "registers-neurons.csv"));
}

TEST(TestTime, AReportHasThem) {
  const fs::path out = fresh_folder() / "report";
  const Outcome outcome = run("report", {"--out", out.string()});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const json result = json::parse(read_file(out / "model/registers.json"));
  EXPECT_EQ(result["test_time"], result_of()["test_time"]);
  EXPECT_EQ(result["variants"], result_of()["variants"]);
  EXPECT_TRUE(fs::exists(out / "model/registers-plan.json"));
  EXPECT_THAT(run("report", {"--out", out.string()}).err, HasSubstr("registers.json is there"));

  const fs::path quick = out / "quick";
  ASSERT_EQ(run("report", {"--out", quick.string(), "--quick"}).status, 0);
  EXPECT_FALSE(fs::exists(quick / "model/registers.json"));
}

// Models with registers, and those that no token can be added to, have nothing that could fail.
TEST(TestTime, AReportLeavesThemOutWhereTheyDoNotApply) {
  for (const char* name : {"timm-dinov2-reg", "timm-sam"}) {
    const fs::path out = fresh_folder() / name;
    const Outcome outcome =
        massact({"report", (kGolden / "vision" / name).string(), "--images",
                 (kPlantedVit / "images/list.csv").string(), "--out", out.string()});
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_TRUE(fs::exists(out / name / "pictures.json")) << name;
    EXPECT_FALSE(fs::exists(out / name / "registers.json")) << name;
  }
}

// Nothing stands out in this model: an earlier one's plan must not pass for its own.
TEST(TestTime, AReportWithoutOutliersLeavesNoPlan) {
  const fs::path out = fresh_folder() / "report";
  const fs::path folder = out / "timm-augreg";
  fs::create_directories(folder);
  for (const char* name : {"registers-plan.json", "registers-neurons.csv"}) {
    fs::copy_file(kPlantedVit / "expected.json", folder / name);
  }
  const Outcome outcome =
      massact({"report", (kGolden / "vision/timm-augreg").string(), "--images",
               (kPlantedVit / "images/list.csv").string(), "--out", out.string()});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_TRUE(json::parse(read_file(folder / "registers.json"))["test_time"]["neurons"].empty());
  EXPECT_FALSE(fs::exists(folder / "registers-plan.json"));
  EXPECT_FALSE(fs::exists(folder / "registers-neurons.csv"));
}

TEST(TestTime, WhatIsNotThereIsSaid) {
  expect_usage_error(run("registers", {"--outlier-layer", "5"}), "a layer from 1 to 4");
  expect_usage_error(run("registers", {"--neurons", "65"}), "at most the 64 neurons");
  expect_usage_error(massact({"registers", (kGolden / "vision/dinov2-registers").string(),
                              "--images", (kPlantedVit / "images").string(), "--neurons", "1"}),
                     "expected a model without registers");
  const fs::path plan = fresh_folder() / "plan.json";
  const auto with = [&](const std::string& variant) {
    write_file(plan, R"({"schema": "massact.edit-plan", "schema_version": 1, "variants": [)" +
                         variant + "]}");
    return run("ablate", {"--plan", plan.string()});
  };
  expect_usage_error(
      with(R"({"name": "x", "edits": [{"layer": 2, "site": "mlp.hook_post", "action": "move"}]})"),
      "added_tokens");
  expect_usage_error(with(R"({"name": "x", "added_tokens": -1})"), "at least 0");
  expect_usage_error(with(R"({"name": "x", "added_tokens": 1, "edits": [{"action": "zero",
               "site": "hook_embed"}]})"),
                     "hook_embed");
}

}  // namespace
}  // namespace massact::testing
