// `massact bench --file`: what is in the directory and what was asked for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cli/models.h"
#include "cli/program.h"

namespace massact::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

Outcome bench(const std::string& file, const Arguments& more) {
  Arguments line = {"bench", "--file", file, "--sequences", "1", "--json"};
  line.insert(line.end(), more.begin(), more.end());
  return massact(line);
}

TEST(Bench, TakesTheModelThatIsThere) {
  const Outcome outcome = bench(kPlanted.string(), {});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const auto json = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(json["layers"], 6);
  EXPECT_EQ(json["tokens"], 512);  // its limit, not the default shape's
}

TEST(Bench, TheLimitIsThatOfTheModelThatIsThere) {
  const Outcome outcome = bench(kPlanted.string(), {"--tokens", "513"});
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.err, HasSubstr("[--tokens] expected at most 512 for this model, got 513"));
}

TEST(Bench, RefusesAnotherModelThanAskedFor) {
  const std::string there = kPlanted.string();
  const Outcome shape = bench(there, {"--shape", "llama-1b"});
  EXPECT_EQ(shape.status, 2);
  EXPECT_THAT(shape.err,
              AllOf(HasSubstr("[--file] expected the model of --shape llama-1b in " + there),
                    HasSubstr("hidden_size 32 (asked for: 2048)"),
                    HasSubstr("num_hidden_layers 6 (asked for: 16)"), Not(HasSubstr("model_type")),
                    Not(HasSubstr("weights"))));
  const Outcome layers = bench(there, {"--layers", "2"});
  EXPECT_EQ(layers.status, 2);
  EXPECT_THAT(layers.err, HasSubstr("layers 6 (asked for: 2)"));
  EXPECT_EQ(bench(there, {"--layers", "6"}).status, 0);
  const Outcome weights = bench(there, {"--weights", "bf16"});
  EXPECT_EQ(weights.status, 2);
  EXPECT_THAT(weights.err, HasSubstr("weights F32 (asked for: BF16)"));
  EXPECT_EQ(bench(there, {"--weights", "f32"}).status, 0);
}

TEST(Bench, MoreSequencesThanMemoryAreRefusedAtOnce) {
  for (const char* many : {"100000000", "9000000000000000000"}) {
    const Outcome outcome =
        massact({"bench", "--file", kPlanted.string(), "--sequences", many, "--memory", "1GiB"});
    EXPECT_EQ(outcome.status, 2);
    EXPECT_THAT(outcome.err, HasSubstr("[--sequences] expected fewer than"));
  }
}

// Of the experts only those that a token is sent to multiply.
TEST(Bench, CountsWhatExpertsDo) {
  const auto path = kGolden / "models" / "mixtral";
  const Outcome outcome = bench(path.string(), {"--tokens", "4"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const auto config = nlohmann::json::parse(read_file(path / "config.json"));
  const auto size = [&](const char* key) { return config[key].get<double>(); };
  const double d = size("hidden_size"), heads = size("num_attention_heads");
  const double head = config.value("head_dim", d / heads);
  const double attention = 2 * (heads + size("num_key_value_heads")) * head;
  const double experts =
      3 * size("num_experts_per_tok") * size("intermediate_size") + size("num_local_experts");
  EXPECT_EQ(nlohmann::json::parse(outcome.out)["matmul_flops"],
            4 * 2 * size("num_hidden_layers") * d * (attention + experts));
}

TEST(Bench, ReadsAgainWhatItWroteButNothingElse) {
  const std::string file = (fresh_folder() / "model").string();
  const Arguments asked = {"--shape", "vit-b-14", "--layers", "1"};
  ASSERT_EQ(bench(file, asked).status, 0);
  EXPECT_EQ(bench(file, asked).status, 0);
  EXPECT_EQ(bench(file, {}).status, 0);
  const Outcome whole = bench(file, {"--shape", "vit-b-14"});
  EXPECT_EQ(whole.status, 2);
  EXPECT_THAT(whole.err, HasSubstr("num_hidden_layers 1 (asked for: 12)"));
}

TEST(Bench, ADirectoryThatCannotBeMadeIsAClearError) {
  const Outcome outcome = bench("/proc/x", {"--shape", "vit-b-14", "--layers", "1"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("massact: [/proc/x] expected to create this directory"));
}

TEST(Bench, AFullDiskLeavesNothing) {
  RunSettings settings;
  settings.largest_file = 1000;
  const auto folder = fresh_folder();
  std::filesystem::create_directory(folder / "mine");
  for (const char* name : {"new", "mine"}) {
    const Outcome outcome = massact({"bench", "--file", (folder / name).string(), "--shape",
                                     "vit-b-14", "--layers", "1", "--sequences", "1"},
                                    settings);
    EXPECT_EQ(outcome.status, 1);
    EXPECT_THAT(outcome.err, HasSubstr("model.safetensors] expected to "));
  }
  EXPECT_FALSE(std::filesystem::exists(folder / "new"));
  EXPECT_TRUE(std::filesystem::is_empty(folder / "mine"));
}

TEST(Bench, AFileThatIsNoModelIsKept) {
  const auto file = fresh_folder() / "afile";
  write_file(file, "x");
  const Outcome outcome = bench(file, {"--shape", "vit-b-14", "--layers", "1"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("massact: [" + file.string() + "] expected a directory with"));
  EXPECT_EQ(read_file(file), "x");
}

}  // namespace
}  // namespace massact::testing
