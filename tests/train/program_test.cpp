// massact-train as a user runs it.
#include "cli/program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "paths.h"

namespace massact {
namespace {

using ::testing::AllOf;
using testing::Arguments;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::Outcome;
namespace fs = std::filesystem;

Outcome train(const Arguments& arguments) {
  testing::RunSettings settings;
  settings.program = MASSACT_TRAIN_PROGRAM;
  return testing::massact(arguments, settings);
}

Arguments operator+(Arguments a, const Arguments& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

class TrainProgram : public ::testing::Test {
 protected:
  /// The text of the goldens, prepared.
  fs::path data() const {
    const fs::path out = folder_ / "data";
    const Outcome outcome = train(
        {"prepare", "--text", text_, "--vocab-size", "400", "--val-fraction", "0.1", "--out", out});
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return out;
  }

  static Arguments tiny(const char* context = "16") {
    return {"--layers",  "2",     "--width",  "16",        "--heads", "2",       "--kv-heads",
            "2",         "--mlp", "20",       "--context", context,   "--batch", "2",
            "--threads", "1",     "--warmup", "1",         "--steps", "3"};
  }

  fs::path folder_ = testing::fresh_folder();
  std::string text_ = testing_support::golden_folder() / "texts" / "harbour.txt";
};

TEST_F(TrainProgram, HelpHasExamples) {
  const Outcome all = train({"--help"});
  EXPECT_EQ(all.status, 0);
  EXPECT_THAT(all.out, AllOf(HasSubstr("Examples:"), HasSubstr("prepare"), HasSubstr("export")));
  const Outcome prepare = train({"prepare", "--help"});
  EXPECT_EQ(prepare.status, 0);
  EXPECT_THAT(prepare.out, AllOf(HasSubstr("--val-fraction"), HasSubstr("Examples:")));
}

TEST_F(TrainProgram, WrongUsageIsStatus2) {
  EXPECT_EQ(train({}).status, 2);
  EXPECT_EQ(train({"run", "--no-such-flag"}).status, 2);
  EXPECT_EQ(train({"prepare"}).status, 2);
  const Outcome neither = train({"run", "--out", folder_ / "run"});
  EXPECT_EQ(neither.status, 2);
  EXPECT_THAT(neither.err, HasSubstr("massact-train: [--data] expected --data"));
  const Outcome preset = train({"run", "--preset", "large"});
  EXPECT_EQ(preset.status, 2);
  EXPECT_THAT(preset.err, HasSubstr("smoke, mini-llama"));
  const Outcome attention = train(Arguments{"run", "--data", folder_, "--attention", "abe"});
  EXPECT_EQ(attention.status, 2);
  EXPECT_THAT(attention.err, HasSubstr("learned-sink"));
}

TEST_F(TrainProgram, ThePreparedTokenizerNamesNoPath) {
  const std::string model = testing::read_file(data() / "tokenizer.model");
  EXPECT_GT(model.size(), 1000u);
  EXPECT_THAT(model, AllOf(Not(HasSubstr("harbour.txt")), Not(HasSubstr(folder_.string()))));
}

TEST_F(TrainProgram, WhatItTrainsIsScanned) {
  for (const char* attention : {"default", "eab"}) {
    const fs::path run = folder_ / attention;
    const Outcome trained = train(
        Arguments{"run", "--preset", "smoke", "--attention", attention, "--out", run} + tiny());
    ASSERT_EQ(trained.status, 0) << trained.err;
    EXPECT_THAT(trained.err, HasSubstr("step 3: validation loss"));
    const fs::path out = folder_ / "scan";
    const Outcome scan =
        testing::massact({"scan", run / "latest", "--text", text_, "--out", out, "--force"});
    ASSERT_EQ(scan.status, 0) << scan.err;
    const auto json = nlohmann::json::parse(testing::read_file(out / "scan.json"));
    EXPECT_EQ(json["layers"].size(), 3u) << scan.out;  // the embedding and two blocks
  }
}

TEST_F(TrainProgram, TheVisionModelAndItsImagesAreScanned) {
  const fs::path run = folder_ / "vit", images = folder_ / "images";
  const Outcome trained =
      train({"run", "--arch",    "vit", "--registers",  "2",  "--layers", "2", "--width",
             "16",  "--heads",   "2",   "--image-size", "16", "--steps",  "3", "--warmup",
             "1",   "--threads", "1",   "--out",        run});
  ASSERT_EQ(trained.status, 0) << trained.err;
  EXPECT_THAT(trained.err, HasSubstr("top-1"));
  const Outcome prepared = train(
      {"prepare", "--images", "procedural", "--count", "5", "--image-size", "16", "--out", images});
  ASSERT_EQ(prepared.status, 0) << prepared.err;
  const fs::path out = folder_ / "scan";
  const Outcome scan = testing::massact({"scan", run / "latest", "--images", images, "--out", out});
  ASSERT_EQ(scan.status, 0) << scan.err;
  const auto json = nlohmann::json::parse(testing::read_file(out / "scan.json"));
  EXPECT_EQ(json["layers"].size(), 3u) << scan.out;
  const fs::path logits = folder_ / "logits.npy";
  EXPECT_EQ(
      train({"logits", "--checkpoint", run / "latest", "--images", "0,1", "--out", logits}).status,
      0);
  const Outcome ids =
      train({"logits", "--checkpoint", run / "latest", "--ids", "0,1", "--out", logits});
  EXPECT_EQ(ids.status, 2);
  EXPECT_THAT(ids.err, HasSubstr("expected --images for vit"));
  const Outcome text = train({"run", "--arch", "vit", "--text", text_, "--out", folder_ / "no"});
  EXPECT_EQ(text.status, 2);
  EXPECT_THAT(text.err, HasSubstr("[--text] expected none for vit"));
  const Outcome both = train({"prepare", "--images", "procedural", "--text", text_, "--out", run});
  EXPECT_EQ(both.status, 2);
}

TEST_F(TrainProgram, SaysWhatIsWrongWithTheText) {
  const fs::path small = folder_ / "small.txt";
  testing::write_file(small, "too small");
  const Outcome vocabulary = train({"prepare", "--text", small, "--out", folder_ / "none"});
  EXPECT_EQ(vocabulary.status, 1);
  EXPECT_THAT(vocabulary.err, HasSubstr("large enough for a vocabulary of 2048"));
  const Outcome missing = train({"prepare", "--text", folder_ / "no.txt", "--out", folder_ / "no"});
  EXPECT_EQ(missing.status, 1);
  EXPECT_THAT(missing.err, HasSubstr("no.txt"));
  // Known before the first step, not at the first evaluation.
  const Outcome block =
      train(Arguments{"run", "--data", data(), "--out", folder_ / "run"} + tiny("100"));
  EXPECT_EQ(block.status, 1);
  EXPECT_THAT(block.err, AllOf(HasSubstr("[val.bin]"), HasSubstr("--context")));
  EXPECT_THAT(block.err, Not(HasSubstr("step 1")));
}

TEST_F(TrainProgram, RefusesToResumeAnotherModel) {
  const Arguments run =
      Arguments{"run", "--data", data(), "--out", folder_ / "run", "--resume"} + tiny();
  ASSERT_EQ(train(run).status, 0);
  const Outcome other = train(run + Arguments{"--arch", "gpt2"});
  EXPECT_EQ(other.status, 1);
  EXPECT_THAT(other.err, HasSubstr("model_type \"llama\" is not \"gpt2\""));
}

}  // namespace
}  // namespace massact
