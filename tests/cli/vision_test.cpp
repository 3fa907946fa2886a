// Vision models as a user runs them: scan, trace, ablate and registers on images.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "cli/models.h"
#include "cli/program.h"
#include "cli/results.h"
#include "json_schema.h"
#include "massact/io/safetensors.h"

namespace massact::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

const fs::path kPictures = kGolden / "images";

// A tiny random DINOv2 with 3 registers and 7 classes, the preprocessing of 22 x 22 pixels (4 x 4
// patches), and pictures of two classes, one broken file and one that is no image.
class Vision : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fresh_folder();
    copy_model("dinov2-registers");
    write_file(model() / "preprocessor_config.json",
               R"({"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 24},
                   "crop_size": {"height": 22, "width": 22}})");
    for (const char* name : {"LABEL_2", "LABEL_5"}) fs::create_directories(images() / name);
    int number = 0;
    for (const char* picture : {"landscape.png", "portrait.png", "small.png", "files/rgb.jpg",
                                "files/lossy.webp", "files/grey.jpg", "files/palette.png"}) {
      const fs::path from = kPictures / picture;
      const char* label = number % 2 == 0 ? "LABEL_2" : "LABEL_5";
      fs::copy_file(from, images() / label / (std::to_string(number++) + ".png"));
    }
    write_file(images() / "notes.txt", "no picture");
  }

  void copy_model(const std::string& name) {
    fs::create_directories(model());
    for (const char* file : {"config.json", "model.safetensors"}) {
      fs::copy_file(kGolden / "vision" / name / file, model() / file,
                    fs::copy_options::overwrite_existing);
    }
  }
  fs::path model() const { return folder_ / "model"; }
  fs::path images() const { return folder_ / "images"; }
  fs::path out() const { return folder_ / "results"; }

  Outcome run(const std::string& command, const Arguments& more = {}) const {
    Arguments line = {command, model().string(), "--images", images().string()};
    line.insert(line.end(), more.begin(), more.end());
    return massact(line);
  }
  static void expect_usage_error(const Outcome& outcome, const std::string& said) {
    EXPECT_EQ(outcome.status, 2) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(said));
    EXPECT_THAT(outcome.out, IsEmpty());
  }

  fs::path folder_;
};

TEST_F(Vision, ScanFindsPatchesAndRegisters) {
  const Outcome outcome = run("scan", {"--rule", "1,3", "--out", out().string()});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(flat(outcome.out), HasSubstr("images of 22 x 22 pixels (1 cls, 3 registers, 4 x 4"));
  EXPECT_THAT(flat(outcome.out), HasSubstr("1 file is no image:"));
  EXPECT_THAT(outcome.out, Not(HasSubstr("BOS")));
  const json scan = json::parse(read_file(out() / "scan.json"));
  EXPECT_EQ(schema_errors(scan, schema("scan.schema.json")), std::vector<std::string>{});
  const json& images = scan["run"]["images"];
  EXPECT_EQ(images["files"].size(), 7u);
  EXPECT_THAT(images["classes"], ElementsAre("LABEL_2", "LABEL_5"));
  EXPECT_EQ(images["patch_rows"], 4);
  EXPECT_EQ(scan["run"]["seq_len"], 1 + 3 + 16);
  std::set<std::string> classes;
  for (const json& finding : scan["findings"]["findings"]) {
    classes.insert(finding["position_class"]);
    const std::int64_t position = finding["example"]["position"];
    const std::string token = finding["example"]["token"];
    if (position >= 4) {
      EXPECT_EQ(token, "patch " + std::to_string((position - 4) / 4) + "," +
                           std::to_string((position - 4) % 4));
    }
  }
  EXPECT_THAT(classes, ::testing::IsSubsetOf({"cls", "register", "patch"}));
  EXPECT_THAT(classes, Not(IsEmpty()));
  EXPECT_THAT(read_file(out() / "scan-findings.csv"), HasSubstr(".png\""));
}

TEST_F(Vision, TraceWritesStackedSites) {
  const fs::path file = folder_ / "h.safetensors";
  const Outcome outcome =
      run("trace", {"--site", "resid_post", "--site", "hook_logits", "--out", file.string()});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const auto source = open_safetensors(file);
  EXPECT_EQ(source->info("blocks.0.hook_resid_post").shape, Shape({7, 20, 20}));
  EXPECT_EQ(source->info("hook_logits").shape, Shape({7, 1, 7}));
  EXPECT_EQ(json::parse(read_safetensors_metadata(file).at("images")).size(), 7u);
}

TEST_F(Vision, AblateMeasuresLabelsPredictionsAndFeatures) {
  const Outcome outcome =
      run("ablate", {"--rule", "1,3", "--calibration", images().string(), "--out", out().string()});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  for (const char* word :
       {"top-1", "top-5", "mean KL", "cosine", "zero", "mean", "random", "median-like",
        "calibration: 7 images", "are also evaluated", "moves top-1"}) {
    EXPECT_THAT(flat(outcome.out), HasSubstr(word));
  }
  const json ablation = json::parse(read_file(out() / "ablate.json"));
  EXPECT_EQ(schema_errors(ablation, schema("ablate.schema.json")), std::vector<std::string>{});
  EXPECT_EQ(ablation["images"]["files"].size(), 7u);
  const json& original = ablation["variants"][0];
  EXPECT_TRUE(original["measures"]["images"]["top1"].is_object());
  const json& zero = ablation["variants"][1];
  EXPECT_EQ(zero["name"], "zero");
  EXPECT_GT(zero["measures"]["divergence"]["mean_kl"]["value"], 0);
  EXPECT_LT(zero["measures"]["images"]["feature_cosine"]["value"], 1);
  EXPECT_THAT(read_file(out() / "ablate.csv"), HasSubstr("\"feature_cosine\""));
}

TEST_F(Vision, TopOneIsThatOfTheLogits) {
  const fs::path file = folder_ / "logits.safetensors";
  ASSERT_EQ(run("trace", {"--site", "hook_logits", "--out", file.string()}).status, 0);
  const Outcome outcome = run("ablate", {"--json"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;

  const std::vector<std::int64_t> labels = {2, 2, 2, 2, 5, 5, 5};  // by sorted path
  std::vector<float> logits(7 * 7);
  open_safetensors(file)->read("hook_logits", 0, 7 * 7, logits.data());
  double top1 = 0, top5 = 0;
  const std::vector<std::size_t> evaluated = {1, 2, 3, 4, 6};  // the others calibrate
  for (const std::size_t i : evaluated) {
    const float* row = logits.data() + 7 * i;
    const auto better = std::count_if(row, row + 7, [&](float x) { return x > row[labels[i]]; });
    top1 += better == 0 ? 1.0 / 5 : 0;
    top5 += better < 5 ? 1.0 / 5 : 0;
  }
  const json measures = json::parse(outcome.out)["variants"][0]["measures"]["images"];
  EXPECT_NEAR(measures["top1"]["value"], top1, 1e-9);
  EXPECT_NEAR(measures["top5"]["value"], top5, 1e-9);
}

TEST_F(Vision, AblateTakesPlansOfImagePositions) {
  write_file(folder_ / "plan.json", R"({"schema": "massact.edit-plan", "schema_version": 1,
    "variants": [
    {"name": "same", "edits": [{"layer": 1, "positions": "patch", "action": "scale", "factor": 1}]},
    {"name": "no cls", "edits": [{"layer": 1, "positions": "cls", "action": "zero"}]}]})");
  const Outcome outcome = run("ablate", {"--plan", (folder_ / "plan.json").string(), "--json"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const json variants = json::parse(outcome.out)["variants"];
  EXPECT_EQ(variants[1]["scalars"], 5 * 16 * 20);
  EXPECT_NEAR(variants[1]["measures"]["images"]["feature_cosine"]["value"], 1, 1e-9);
  EXPECT_EQ(variants[2]["scalars"], 5 * 20);
  EXPECT_LT(variants[2]["measures"]["images"]["feature_cosine"]["value"], 0.9999);
}

TEST_F(Vision, AblateWithoutAHeadComparesFeatures) {
  copy_model("dinov2-swiglu");
  write_file(model() / "preprocessor_config.json",
             R"({"image_processor_type": "ViTImageProcessor", "size": 17})");
  const Outcome outcome = run("ablate");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(flat(outcome.out), HasSubstr("every fifth of 7 images"));
  EXPECT_THAT(flat(outcome.out), HasSubstr("has no classifier"));
  EXPECT_THAT(flat(outcome.out), HasSubstr("features of cosine"));
  EXPECT_THAT(outcome.out, Not(HasSubstr("mean KL")));
}

// timm's fc_norm stands behind the mean over tokens: what it reads is no site.
TEST_F(Vision, AblateWithoutAFinalNormComparesLogits) {
  copy_model("timm-mean");
  const Outcome outcome = run("ablate");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(flat(outcome.out), HasSubstr("mean KL"));
  EXPECT_THAT(flat(outcome.out), HasSubstr("cosine"));
}

TEST_F(Vision, RegistersAreMeasuredFixedAndSaved) {
  const Outcome outcome = run("registers", {"--out", out().string(), "--each-layer"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  for (const char* word : {"before layer", "register 2", "scatter", "fix-reg-mean",
                           "registers zero", "before layer 2", "top-1"}) {
    EXPECT_THAT(flat(outcome.out), HasSubstr(word));
  }
  const json result = json::parse(read_file(out() / "registers.json"));
  EXPECT_EQ(schema_errors(result, schema("registers.schema.json")), std::vector<std::string>{});
  const auto means = open_safetensors(out() / "registers.safetensors");
  EXPECT_EQ(means->info("registers").shape, Shape({2, 3, 20}));
  EXPECT_EQ(means->info("cls").shape, Shape({2, 1, 20}));
  // Before the first block registers are weights, the same in every image.
  for (const json& token : result["layers"][0]["tokens"]) {
    if (token["token"] == "patch") continue;
    EXPECT_LT(token["scatter"], 1e-3) << token;
  }
  const json& variants = result["variants"];
  EXPECT_EQ(variants[1]["name"], "fix-reg-mean");
  EXPECT_EQ(variants[1]["scalars"], 5 * 2 * 3 * 20);
  const json last = variants[variants.size() - 2];
  EXPECT_EQ(last["name"], "before layer 1");  // where the mean is the value itself
  EXPECT_NEAR(last["measures"]["images"]["feature_cosine"]["value"], 1, 1e-6);
}

TEST_F(Vision, RegistersComparesWithGivenMeans) {
  ASSERT_EQ(run("registers", {"--out", out().string()}).status, 0);
  const Outcome outcome =
      run("registers", {"--means", (out() / "registers.safetensors").string(), "--json"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const json result = json::parse(outcome.out);
  EXPECT_NEAR(result["comparison"]["least_cosine"], 1, 1e-6);
  EXPECT_EQ(result["comparison"]["cosines"].size(), 6u);
  EXPECT_EQ(result["variants"][2]["name"], "fix-reg-mean, given");
}

TEST_F(Vision, RegistersReadsTheAuthorsFormat) {
  // A dict {0: [3, 20], 1: [3, 20]}, saved by PyTorch.
  const fs::path file = kGolden / "torch/register-means.pth";
  const Outcome outcome = run("registers", {"--means", file.string(), "--json"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_LT(json::parse(outcome.out)["comparison"]["least_cosine"], 0.99);
}

TEST_F(Vision, RegistersOfAModelWithout) {
  copy_model("dinov2");
  const Outcome outcome = run("registers");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(flat(outcome.out), HasSubstr("No registers: test-time registers."));
}

// SAM's image encoder: 5 x 5 patches in windows of 3 x 3, pictures padded to 20 x 20 pixels.
class Sam : public Vision {
 protected:
  void SetUp() override {
    Vision::SetUp();
    copy_model("sam");
    write_file(model() / "preprocessor_config.json",
               R"({"image_processor_type": "SamImageProcessor", "size": {"longest_edge": 20},
                   "pad_size": {"height": 20, "width": 20}})");
  }
};

TEST_F(Sam, ScanFindsPatches) {
  const Outcome outcome = run("scan", {"--rule", "1,2", "--out", out().string()});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const json scan = json::parse(read_file(out() / "scan.json"));
  EXPECT_EQ(schema_errors(scan, schema("scan.schema.json")), std::vector<std::string>{});
  EXPECT_EQ(scan["run"]["seq_len"], 25);
  EXPECT_THAT(scan["findings"]["findings"], Not(IsEmpty()));
  for (const json& finding : scan["findings"]["findings"]) {
    EXPECT_EQ(finding["position_class"], "patch");
  }
}

TEST_F(Sam, TraceWritesMapsWithThePaddingAndFeaturesOfPatches) {
  const fs::path file = folder_ / "sam.safetensors";
  const Outcome outcome = run("trace", {"--site", "blocks.0.attn.hook_pattern", "--site",
                                        "hook_logits", "--out", file.string()});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const auto source = open_safetensors(file);
  EXPECT_EQ(source->info("blocks.0.attn.hook_pattern").shape, Shape({7, 3, 25, 26}));
  EXPECT_EQ(source->info("hook_logits").shape, Shape({7, 25, 8}));
}

TEST_F(Sam, ExplainClosesWithThePaddingAsSlot) {
  const Outcome outcome =
      run("explain", {"--rule", "1,2", "--precision", "f32", "--out", out().string()});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(flat(outcome.out), HasSubstr("sum over massive tokens C + slot + the rest"));
  const json explain = json::parse(read_file(out() / "explain.json"));
  EXPECT_EQ(schema_errors(explain, schema("explain.schema.json")), std::vector<std::string>{});
  EXPECT_EQ(explain["model"]["slot"], true);
  const json& layers = explain["bias"];
  ASSERT_EQ(layers.size(), 2u);
  for (const json& layer : layers) {
    for (const json& head : layer["heads"]) EXPECT_LE(head["closure"], 1e-5);
  }
  EXPECT_GT(layers[0]["slot_share"], 0);
  EXPECT_EQ(layers[1]["slot_share"], 0);  // it sees the whole grid, which is not padded
}

TEST_F(Sam, AblateComparesTheMapOfFeatures) {
  const Outcome outcome =
      run("ablate", {"--rule", "1,2", "--calibration", images().string(), "--out", out().string()});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(flat(outcome.out), HasSubstr("its features of patches are compared"));
  const json ablation = json::parse(read_file(out() / "ablate.json"));
  EXPECT_LT(ablation["variants"][1]["measures"]["images"]["feature_cosine"]["value"], 1);
  write_file(folder_ / "names.txt", "cat\ndog\n");
  expect_usage_error(run("ablate", {"--class-names", (folder_ / "names.txt").string()}),
                     "gives features of each patch");
}

TEST_F(Vision, BrokenImagesEndTheRunOrAreSkipped) {
  write_file(images() / "LABEL_2/broken.jpg",
             read_file(kPictures / "files/rgb.jpg").substr(0, 500));
  const Outcome strict = run("scan");
  EXPECT_EQ(strict.status, 1);
  EXPECT_THAT(strict.err, HasSubstr("broken.jpg"));
  for (const char* command : {"scan", "explain", "ablate", "registers"}) {
    const Outcome skipping = run(command, {"--skip-bad"});
    ASSERT_EQ(skipping.status, 0) << command << skipping.err;
    EXPECT_THAT(flat(skipping.out), HasSubstr("1 file is no image: passed over.")) << command;
    EXPECT_THAT(flat(skipping.out), HasSubstr("skipped")) << command;
    EXPECT_THAT(flat(skipping.out), HasSubstr("broken.jpg")) << command;
    const json images = json::parse(run(command, {"--skip-bad", "--json"}).out);
    const json& told = images.contains("images") ? images["images"] : images["run"]["images"];
    EXPECT_EQ(told["passed_over"], 1) << command;
    EXPECT_EQ(told["skipped"].size(), 1u) << command;
  }
  EXPECT_THAT(flat(run("scan", {"--skip-bad"}).out), HasSubstr("7 images"));
}

TEST_F(Vision, FlagsAboutTextAreRefused) {
  const fs::path lists = folder_ / "classes.json";
  write_file(lists, R"({"delimiter": ["."], "weak": ["the"]})");
  for (const char* command : {"scan", "explain", "ablate"}) {
    expect_usage_error(run(command, {"--classes", lists.string()}), "reads no text");
  }
  expect_usage_error(run("ablate", {"--ppl", "hf"}), "reads no text");
  expect_usage_error(run("ablate", {"--task", "piqa=x.jsonl"}), "reads no text");
  expect_usage_error(run("explain", {"--replace", "2"}), "reads no text");
}

TEST_F(Vision, QuickReportsReadFewImages) {
  for (int i = 0; i < 4; ++i) {
    fs::copy_file(kPictures / "files/rgb.jpg",
                  images() / ("LABEL_2/more" + std::to_string(i) + ".jpg"));
  }
  const fs::path out = folder_ / "report";
  const Outcome outcome = run("report", {"--quick", "--out", out.string()});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const json scan = json::parse(read_file(out / model().filename() / "scan.json"));
  EXPECT_EQ(scan["run"]["images"]["files"].size(), 8u);
  EXPECT_THAT(run("report", {"--quick", "--out", out.string()}).err,
              HasSubstr("pictures.json is there, made with the same flags"));
  const Outcome all = run("report", {"--out", out.string()});
  EXPECT_EQ(all.status, 1);
  EXPECT_THAT(all.err, HasSubstr("--max-images 8 in place of none"));
  fs::remove(images() / "LABEL_2/more0.jpg");
  const Outcome others = run("report", {"--quick", "--out", out.string()});
  EXPECT_EQ(others.status, 1);
  EXPECT_THAT(others.err, HasSubstr("pictures.json with --images 11 files ["));
}

TEST_F(Vision, TheWrongKindOfInputIsSaid) {
  const std::string text = kText.string();
  expect_usage_error(massact({"scan", model().string()}), "expected images");
  expect_usage_error(massact({"scan", model().string(), "--text", text}), "reads no text");
  expect_usage_error(massact({"scan", kPlanted.string(), "--images", images().string()}),
                     "reads no images");
  expect_usage_error(massact({"trace", model().string(), "--site", "hook_logits", "--out",
                              (folder_ / "x.safetensors").string(), "--seq-len", "8"}),
                     "reads no text");
  expect_usage_error(massact({"eval", model().string(), "--text", text}), "reads images");
  expect_usage_error(massact({"registers", kPlanted.string(), "--images", images().string()}),
                     "expected a vision model");
  expect_usage_error(massact({"registers", model().string()}), "expected images");
}

TEST_F(Vision, WhatAReportKeepsOfImagesCountsAsMemory) {
  const auto scan_list = [&](int count) {
    std::string list = "path\n";
    for (int i = 0; i < count; ++i) list += "images/LABEL_2/0.png\n";
    write_file(folder_ / "list.csv", list);
    return massact({"scan", model().string(), "--images", (folder_ / "list.csv").string(),
                    "--memory", "44MiB"});
  };
  EXPECT_EQ(scan_list(20).status, 0);
  expect_usage_error(scan_list(3000), "[--memory] expected at least");
}

TEST_F(Vision, RegistersRefusesWhatTheModelDoesNotHave) {
  copy_model("dinov2");
  expect_usage_error(run("registers", {"--each-layer"}), "expected a model with registers");
  expect_usage_error(run("registers", {"--outlier-ratio", "7", "--outlier-norm", "1"}),
                     "--outlier-ratio");
  expect_usage_error(run("registers", {"--last-layer", "99"}), "--last-layer");
}

TEST_F(Vision, WrongImagesAndLabelsAreSaid) {
  fs::create_directories(folder_ / "empty");
  write_file(folder_ / "empty/a.txt", "words");
  Outcome outcome = massact({"scan", model().string(), "--images", (folder_ / "empty").string()});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("found none (1 other files)"));
  fs::rename(images() / "LABEL_5", images() / "zebra");
  outcome = run("ablate");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("zebra"));
  fs::remove(model() / "preprocessor_config.json");
  outcome = run("scan");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("preprocessor_config.json"));
}

}  // namespace
}  // namespace massact::testing
