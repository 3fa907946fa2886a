// `massact ablate` and `massact eval` as a user runs them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cctype>
#include <nlohmann/json.hpp>

#include "cli/models.h"
#include "cli/program.h"
#include "cli/results.h"
#include "json_schema.h"

namespace massact::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

Outcome ablate(const Arguments& more) {
  Arguments line = {"ablate", kPlanted.string(), "--text", kText.string(), "--seq-len",
                    "64",     "--bos",           "yes"};
  line.insert(line.end(), more.begin(), more.end());
  return massact(line);
}

Outcome eval(const Arguments& more) {
  Arguments line = {"eval", kPlanted.string()};
  line.insert(line.end(), more.begin(), more.end());
  return massact(line);
}

TEST(AblateCommand, PrintsAndSavesTheCausalTable) {
  const fs::path out = fresh_folder() / "results";
  const Outcome outcome = ablate({"--out", out.string(), "--sweep", "0,1"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  for (const char* word : {"original", "zero", "mean", "random", "median-like", "x 0", "ppl hf",
                           "multiplies perplexity by", "seqlen 64", "BOS in every window"}) {
    EXPECT_THAT(outcome.out, HasSubstr(word));
  }
  const json result = json::parse(read_file(out / "ablate.json"));
  EXPECT_EQ(schema_errors(result, schema("ablate.schema.json")), std::vector<std::string>{});
  EXPECT_EQ(result["targets"]["layer"], 2);
  EXPECT_EQ(result["variants"][0]["name"], "original");
  const std::string csv = read_file(out / "ablate.csv");
  EXPECT_THAT(csv, HasSubstr("\"zero\",zero,2,"));
  // Its own files are replaced; another model's would not be.
  EXPECT_EQ(ablate({"--out", out.string(), "--json"}).status, 0);
}

TEST(AblateCommand, RunsWithoutAnyTextOfTheUsers) {
  const Outcome outcome = massact({"ablate", kPlanted.string()});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("the text that ships with massact"));
}

TEST(AblateCommand, RunsOnTheShippedModelsAsTheyAre) {
  for (const char* name : {"mini-llama", "mini-llama-eab", "mini-gpt2", "mini-gpt2-eab"}) {
    const Outcome outcome = massact({"ablate", (source_folder() / "models" / name).string()});
    EXPECT_EQ(outcome.status, 0) << name << outcome.err;
    EXPECT_THAT(outcome.out, HasSubstr("\nrandom ")) << name;
    if (std::string_view(name) != "mini-gpt2-eab") continue;
    EXPECT_THAT(flat(outcome.out), HasSubstr("findings, not massive) at layer"));
  }
}

TEST(AblateCommand, AMeanThatIsMissingNamesWhatHelps) {
  // Without a BOS windows begin anywhere, one of them with a full stop that holds a planted value.
  const Outcome outcome =
      massact({"ablate", kPlanted.string(), "--text", kText.string(), "--seq-len", "64"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("--bos yes"));
  EXPECT_THAT(outcome.err, Not(HasSubstr("--max-images")));
}

TEST(AblateCommand, SaysInWordsThatNoRuleFoundAnything) {
  // Without full stops and a BOS nothing that was planted appears.
  const fs::path folder = fresh_folder(), out = folder / "out";
  std::string words = read_file(kText);
  std::erase_if(
      words, [](char c) { return c != ' ' && std::isalnum(static_cast<unsigned char>(c)) == 0; });
  write_file(folder / "words.txt", words);
  const Outcome outcome =
      massact({"ablate", kPlanted.string(), "--text", (folder / "words.txt").string(), "--seq-len",
               "64", "--bos", "no", "--out", out.string()});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("no rule found any: the largest of every sequence"));
  EXPECT_EQ(nlohmann::json::parse(read_file(out / "ablate.json"))["targets"]["rule"], "largest");
}

TEST(AblateCommand, MeasuresTasksOfVariants) {
  const fs::path tasks = kGolden / "eval" / "tasks";
  const Outcome outcome = ablate(
      {"--task", "piqa=" + (tasks / "piqa.jsonl").string(), "--selector", "class", "--json"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const json result = json::parse(outcome.out);
  EXPECT_EQ(result["variants"][1]["measures"]["accuracies"][0]["items"], 3);
  EXPECT_EQ(result["variants"][1]["measures"]["acc_changes"].size(), 1u);
}

TEST(AblateCommand, TakesPlansAndRefusesBadOnes) {
  const fs::path folder = fresh_folder();
  const fs::path plan = folder / "plan.json";
  const std::string head = R"({"schema": "massact.edit-plan", "schema_version": 1, "variants": )";
  write_file(plan, head + R"([{"name": "mine", "edits": [{"layer": 2, "positions": "start",
                              "dimensions": [5, 19], "action": "clamp", "limit": 10}]}]})");
  EXPECT_EQ(schema_errors(json::parse(read_file(plan)), schema("edit-plan.schema.json")),
            std::vector<std::string>{});
  const Outcome good = ablate({"--plan", plan.string()});
  EXPECT_EQ(good.status, 0) << good.err;
  EXPECT_THAT(good.out, HasSubstr("mine"));
  write_file(plan, head + R"([{"name": "mine", "edits": [{"layer": 9, "action": "zero"}]}]})");
  expect_usage_error(ablate({"--plan", plan.string()}), "to 6, got 9");
  expect_usage_error(ablate({"--ppl", "other"}), "hf, lm-eval or llama.cpp");
  expect_usage_error(ablate({"--task", "piqa"}), "NAME=FILE");
}

// Layers, scalars and KL divergence are not told of variants of weights.
TEST(AblateCommand, ATableHasNoColumnWithoutAValue) {
  const fs::path plan = fresh_folder() / "plan.json";
  write_file(plan, R"({"schema": "massact.edit-plan", "schema_version": 1, "variants": [
    {"name": "silent", "weights": [{"weight": "blocks.1.mlp.W_in", "row": 13}]}]})");
  const Outcome outcome = ablate({"--plan", plan.string()});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, ContainsRegex("scored\n\nvariant +ppl hf +change\n"));
}

TEST(AblateCommand, WarnsOfCalibrationOnTheEvaluationText) {
  const Outcome outcome = ablate({"--calibration", kText.string()});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("are also in the evaluation text"));
}

TEST(EvalCommand, GivesPerplexityInThreeConventions) {
  const fs::path out = fresh_folder() / "results";
  const Outcome outcome =
      eval({"--text", kText.string(), "--seq-len", "64", "--out", out.string(), "--json"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const json result = json::parse(outcome.out);
  EXPECT_EQ(schema_errors(result, schema("eval.schema.json")), std::vector<std::string>{});
  EXPECT_EQ(result, json::parse(read_file(out / "eval.json")));
  const json golden = json::parse(read_file(kGolden / "eval" / "perplexity.json"));
  const auto expected = [&](const std::string& name, const char* field) {
    for (const auto& entry : golden["cases"]) {
      if (entry["case"] == name) return entry[field].get<double>();
    }
    throw std::runtime_error("no case " + name);
  };
  const json& measured = result["measures"]["perplexities"];
  ASSERT_EQ(measured.size(), 3u);
  const auto near = [](const json& estimate, double value) {
    EXPECT_NEAR(estimate["value"].get<double>(), value, 1e-4 * value);
  };
  near(measured[0]["perplexity"], expected("planted/hf/bos-no", "perplexity"));
  near(measured[1]["word_perplexity"], expected("planted/lm-eval/bos-yes", "word_perplexity"));
  near(measured[2]["perplexity"], expected("planted/llama.cpp/bos-yes", "perplexity"));
}

TEST(EvalCommand, SaysWhenThereIsNoErrorBar) {
  const Outcome outcome =
      eval({"--text", kText.string(), "--seq-len", "512", "--ppl", "hf", "--bos", "yes"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("no error bar"));
  EXPECT_THAT(outcome.out, HasSubstr("only one window"));
}

TEST(EvalCommand, BadTaskFilesNameTheLineAndField) {
  const fs::path file = fresh_folder() / "task.jsonl";
  write_file(file,
             "{\"context\": \"a\", \"choices\": [\"b\", \"c\"], \"answer\": 0}\n"
             "{\"context\": \"a\", \"choices\": [\"b\", \"c\"], \"answer\": 2}\n");
  const Outcome outcome = eval({"--task", "mine=" + file.string()});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("answer"));
  EXPECT_THAT(outcome.err, HasSubstr("2"));
}

}  // namespace
}  // namespace massact::testing
