// `massact explain` as a user runs it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "cli/models.h"
#include "cli/program.h"
#include "cli/results.h"
#include "json_schema.h"
#include "massact/io/npy.h"

namespace massact::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Outcome explain(const Arguments& more) {
  Arguments line = {"explain", kPlanted.string(), "--text", kText.string(), "--seq-len", "64"};
  line.insert(line.end(), more.begin(), more.end());
  return massact(line);
}

// Another golden model on tokens 2, 3, 4 … in `sequences` of `length`.
Outcome explain_golden(const std::string& model, std::int64_t sequences, std::int64_t length,
                       const Arguments& more) {
  const fs::path folder = fresh_folder();
  std::vector<std::int64_t> ids(static_cast<std::size_t>(sequences * length));
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::int64_t>(2 + i % 25);
  write_npy(folder / "tokens.npy", Shape({sequences, length}), ids);
  Arguments line = {"explain", (kGolden / model).string(), "--tokens",
                    (folder / "tokens.npy").string(), "--json"};
  line.insert(line.end(), more.begin(), more.end());
  return massact(line);
}

json valid_result(const Outcome& outcome) {
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const json result = json::parse(outcome.out);
  EXPECT_EQ(schema_errors(result, schema("explain.schema.json")), std::vector<std::string>{});
  return result;
}

TEST(ExplainCommand, PrintsAPageAndSavesEverything) {
  const fs::path out = fresh_folder() / "results";
  const Outcome outcome = explain({"--out", out.string(), "--map", "4,1"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  // Lines break anywhere.
  std::string page = outcome.out;
  std::replace(page.begin(), page.end(), '\n', ' ');
  for (const char* words :
       {"1. Birth and death", "The block of layer 2 writes it", "neuron 13 gives",
        "The block of layer 5 removes it", "Super weights", "2. What the norm makes of them",
        "3. Where attention goes", "4. The implicit bias", "5. Is the constant all"}) {
    EXPECT_THAT(page, HasSubstr(words));
  }
  const json result = json::parse(read_file(out / "explain.json"));
  EXPECT_EQ(schema_errors(result, schema("explain.schema.json")), std::vector<std::string>{});
  for (const char* name : {"explain-layers.csv", "explain-heads.csv", "explain-findings.csv",
                           "explain-writes.csv", "explain-trajectory.csv"}) {
    const std::string csv = read_file(out / name);
    EXPECT_GT(std::count(csv.begin(), csv.end(), '\n'), 6) << name;
  }
  ASSERT_EQ(result["maps"].size(), 2u);
  for (const json& map : result["maps"]) {
    const std::string array = read_file(out / map["probabilities"].get<std::string>());
    EXPECT_EQ(array.size() % 64, 64u * 64 * 4 % 64);
    EXPECT_THAT(array, HasSubstr("'shape': (64, 64)"));
    EXPECT_THAT(read_file(out / map["pictures"][0].get<std::string>()), HasSubstr("PNG"));
  }
}

// What it found can be taken away: the plan that it writes is one for ablate.
TEST(ExplainCommand, WritesAPlanThatAblateRuns) {
  const fs::path out = fresh_folder() / "results";
  ASSERT_EQ(explain({"--out", out.string(), "--replace", "0"}).status, 0);
  const json plan = json::parse(read_file(out / "explain-plan.json"));
  EXPECT_EQ(schema_errors(plan, schema("edit-plan.schema.json")), std::vector<std::string>{});
  const Outcome ablated =
      massact({"ablate", kPlanted.string(), "--text", kText.string(), "--seq-len", "64", "--bos",
               "yes", "--plan", (out / "explain-plan.json").string(), "--json"});
  ASSERT_EQ(ablated.status, 0) << ablated.err;
  const json variants = json::parse(ablated.out)["variants"];
  ASSERT_EQ(variants.size(), 3u);  // the original, super weights, massive weights
  const auto perplexity = [&](std::size_t i) {
    return variants[i]["measures"]["perplexities"][0]["perplexity"]["value"].get<double>();
  };
  EXPECT_GT(perplexity(1), 2 * perplexity(0));
  EXPECT_GT(perplexity(2), 2 * perplexity(0));
}

TEST(ExplainCommand, OneFindingOfAll) {
  const json result = valid_result(explain({"--finding", "2", "--json", "--replace", "0"}));
  ASSERT_EQ(result["findings"].size(), 1u);
  EXPECT_EQ(result["findings"][0]["finding"], 2);
  EXPECT_TRUE(result["replacement"].is_null());
}

TEST(ExplainCommand, SaysThatNothingIsMassiveAndGoesOn) {
  const json result = valid_result(explain_golden("models/llama-gqa-tied", 3, 20, {}));
  EXPECT_EQ(result["found"]["label"], "not massive");
  EXPECT_EQ(result["sinks"]["layers"].size(), result["model"]["layers"].get<std::size_t>());
  EXPECT_THAT(result["warnings"].dump(), HasSubstr("NOT massive"));
}

TEST(ExplainCommand, OneTokenIsEnough) {
  const json result = valid_result(explain_golden("models/llama-mha", 1, 1, {}));
  EXPECT_EQ(result["sinks"]["layers"][0]["heads"][0]["first"][0], 1.0);
  EXPECT_EQ(result["sinks"]["layers"][0]["entropy"], 0.0);
  EXPECT_TRUE(result["replacement"].is_null());
}

// A window of 5: late queries do not see the start token, and C may be out of everybody's reach.
TEST(ExplainCommand, WindowHidesTheStartToken) {
  const json result = valid_result(explain_golden("models/mistral-window", 2, 30, {}));
  for (const json& layer : result["sinks"]["layers"]) {
    for (const json& head : layer["heads"]) {
      // Only the first 5 of 30 queries can give it anything.
      EXPECT_LE(head["first"][0].get<double>(), 5.0 / 30);
    }
  }
}

TEST(ExplainCommand, EverythingMayBeMassive) {
  // Every token has values beyond this rule.
  const json result =
      valid_result(explain_golden("models/llama-mha", 2, 6, {"--rule", "0,1", "--replace", "1"}));
  EXPECT_EQ(result["found"]["massive_tokens"], 6.0);
  for (const json& layer : result["bias"]) {
    for (const json& head : layer["heads"]) {
      EXPECT_EQ(head["queries"], 0);  // none is outside C
      EXPECT_TRUE(head["share"].is_null());
      EXPECT_LE(head["closure"], 1e-5);
    }
  }
  EXPECT_THAT(result["warnings"].dump(), HasSubstr("not tested"));
}

TEST(ExplainCommand, SlotTakesPart) {
  const json result = valid_result(explain_golden("variants/llama-eab", 2, 12, {}));
  EXPECT_EQ(result["model"]["slot"], true);
  for (const json& layer : result["sinks"]["layers"]) {
    EXPECT_EQ(layer["classes"].back()["class"], "slot");
    EXPECT_GT(layer["classes"].back()["probability"], 0.0);
  }
  for (const json& layer : result["bias"]) EXPECT_GT(layer["slot_share"], 0.0);
}

// Whatever attention, norms and blocks look like: all terms add up.
void expect_sums_close(const json& result) {
  for (const json& finding : result["findings"]) {
    EXPECT_LE(finding["closure"], 1e-5);
    for (const char* event : {"birth", "death"}) {
      const json& write = finding[event];
      if (write.is_null()) continue;
      if (!write["mlp_split"].is_null()) {
        EXPECT_LE(write["mlp_split"]["closure"], 1e-5);
      }
      if (write["heads_split"].is_null()) continue;
      EXPECT_LE(write["heads_split"]["closure"], 1e-5);
      EXPECT_LE(write["heads_split"]["source_closure"], 1e-5);
    }
  }
  for (const json& layer : result["bias"]) {
    for (const json& head : layer["heads"]) EXPECT_LE(head["closure"], 1e-5);
  }
}

class ExplainEveryModel : public ::testing::TestWithParam<const char*> {};

TEST_P(ExplainEveryModel, AddsUp) {
  for (const auto& entry : fs::directory_iterator(kGolden / GetParam())) {
    const std::string name = entry.path().filename().string();
    SCOPED_TRACE(name);
    const json result = valid_result(
        explain_golden(std::string(GetParam()) + "/" + name, 2, 12, {"--precision", "f32"}));
    // Where the stream itself is normalised behind each sum there is nothing to add up.
    if (result["warnings"].dump().find("normalises the stream") != std::string::npos) continue;
    expect_sums_close(result);
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, ExplainEveryModel, ::testing::Values("models", "variants"),
                         [](const auto& folder) { return std::string(folder.param); });

TEST(ExplainCommand, RefusesWhatIsNotThere) {
  const std::string out = (fresh_folder() / "results").string();
  expect_usage_error(explain({"--finding", "99"}), "expected one of the 6 findings, got 99");
  expect_usage_error(explain({"--finding", "first"}), "--finding");
  expect_usage_error(explain({"--map", "4,1"}), "--out");
  expect_usage_error(explain({"--map", "4", "--out", out}), "LAYER,HEAD");
  // 2^32 + 2: no layer 2 of a narrower integer.
  expect_usage_error(explain({"--map", "4294967298,0", "--out", out}), "LAYER,HEAD");
  expect_usage_error(explain({"--finding", "0"}), "a number from 1, or all");
  expect_usage_error(explain({"--map", "7,0", "--out", out}),
                     "expected a layer from 1 to 6, got 7");
  expect_usage_error(explain({"--map", "1,4", "--out", out}), "expected a head from 0 to 3, got 4");
  expect_usage_error(explain({"--sink-epsilon", "2"}), "--sink-epsilon");
  EXPECT_FALSE(fs::exists(out));
}

TEST(ExplainCommand, NamesWeightsThatAreNotFinite) {
  const fs::path model = copy_of_planted(fresh_folder());
  std::string bytes = read_file(model / "model.safetensors");
  std::uint64_t header = 0;
  std::memcpy(&header, bytes.data(), sizeof header);
  const json tensors = json::parse(bytes.substr(8, header));
  const auto offset = tensors["model.layers.3.mlp.down_proj.weight"]["data_offsets"][0];
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(bytes.data() + 8 + header + offset.get<std::uint64_t>(), &nan, sizeof nan);
  write_file(model / "model.safetensors", bytes);
  const Outcome outcome =
      massact({"explain", model.string(), "--text", kText.string(), "--seq-len", "64"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("down_proj"));
  EXPECT_THAT(outcome.out, IsEmpty());
}

}  // namespace
}  // namespace massact::testing
