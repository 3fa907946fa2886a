// Linear classifiers in files of their own, against torch (tools/golden/make_heads.py).
#include "massact/eval/linear_head.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <span>

#include "massact/base/error.h"
#include "massact/io/safetensors.h"
#include "parity/class_logits.h"
#include "parity/compare.h"
#include "parity/images.h"

namespace massact {
namespace {

using namespace testing_support;
using testing::HasSubstr;
namespace fs = std::filesystem;

const fs::path kHeads = golden_folder() / "heads";

// Clears positions 0, 2 and 5: the class token behind the edited layer, not before it.
class ClearPositions final : public Edit {
 public:
  std::int64_t apply(const SiteView& view) override {
    for (const std::int64_t row : {0, 2, 5}) {
      std::fill_n(view.values.row(row), view.values.cols, 0.0f);
    }
    return 3 * view.values.cols;
  }
  std::string description() const override { return "zero"; }
};

class LinearHeadParity : public testing::TestWithParam<std::string> {};

TEST_P(LinearHeadParity, LogitsAreTorchs) {
  const Model model = open_model(kHeads);
  const auto golden = open_safetensors(kHeads / "expected.safetensors");
  const auto head = eval::read_linear_head(kHeads / (GetParam() + "_head.pth"), model.config());
  ASSERT_EQ(head->classes(), 7);
  for (const bool scarce : {false, true}) {
    Plan plan(model, image_files(kHeads, kHeads / "images.csv"));
    std::vector<SiteEdit> edits;
    edits.push_back({{SiteKind::resid_post, 2}, std::make_unique<ClearPositions>()});
    const int stream = plan.fork("edited", std::move(edits));
    const auto& original = plan.observe(head->sites(), ClassLogits(head->reader(model)));
    const auto& edited = plan.observe(head->sites(), ClassLogits(head->reader(model)), stream);
    RunOptions options{.precision = ops::Precision::f32, .threads = 2, .memory = 0};
    if (scarce) {  // some images at a time
      const MemoryPlan memory = plan_memory(plan, options);
      options.memory = memory.total - memory.hidden / 2;
      EXPECT_GT(plan_memory(plan, options).passes(), 1);
    }
    NoProgress progress;
    run(plan, options, progress);
    EXPECT_EQ(compare_vectors(original.values, floats_of(*golden, GetParam() + "/logits"), 7), "");
    EXPECT_EQ(compare_vectors(edited.values, floats_of(*golden, GetParam() + "/edited_logits"), 7),
              "");
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, LinearHeadParity, testing::Values("linear", "linear4"),
                         [](const auto& param_info) { return param_info.param; });

TEST(LinearHead, SafetensorsHoldTheSame) {
  const Model model = open_model(kHeads);
  const auto golden = open_safetensors(kHeads / "expected.safetensors");
  const auto head = eval::read_linear_head(kHeads / "linear_head.safetensors", model.config());
  Plan plan(model, image_files(kHeads, kHeads / "images.csv"));
  const auto& logits = plan.observe(head->sites(), ClassLogits(head->reader(model)));
  NoProgress progress;
  run(plan, {.precision = ops::Precision::f32}, progress);
  EXPECT_EQ(compare_vectors(logits.values, floats_of(*golden, "linear/logits"), 7), "");
}

TEST(LinearHead, Dinov3) {
  const fs::path folder = golden_folder() / "vision/dinov3";
  const Model model = open_model(folder);
  std::vector<Tensor> pixels;
  pixels.push_back(
      to_float_tensor(open_safetensors(folder / "sites.safetensors")->view("img0/pixels")));
  const auto head = eval::read_linear_head(kHeads / "dinov3_linear_head.pth", model.config());
  Plan plan(model, std::make_shared<GoldenImages>(std::move(pixels)));
  const auto& logits = plan.observe(head->sites(), ClassLogits(head->reader(model)));
  NoProgress progress;
  run(plan, {.precision = ops::Precision::f32}, progress);
  const auto golden = open_safetensors(kHeads / "expected.safetensors");
  EXPECT_EQ(compare_vectors(logits.values, floats_of(*golden, "dinov3/logits"), 7), "");
}

TEST(LinearHead, NumbersAreFinite) {
  const auto golden = open_safetensors(kHeads / "linear_head.safetensors");
  const fs::path file = fs::path(testing::TempDir()) / "not_finite_head.safetensors";
  SafetensorsWriter writer(file, {{"weight", DType::f32, golden->info("weight").shape},
                                  {"bias", DType::f32, golden->info("bias").shape}});
  for (const char* name : {"weight", "bias"}) {
    std::vector<float> values = floats_of(*golden, name);
    if (name == std::string("bias")) values.back() = std::numeric_limits<float>::quiet_NaN();
    writer.write(name, 0, std::as_bytes(std::span(values)));
  }
  writer.commit();
  try {
    eval::read_linear_head(file, open_model(kHeads).config());
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("expected finite numbers, got others in `bias`"));
  }
}

TEST(LinearHead, WhatDoesNotFitIsSaid) {
  const auto error = [](const fs::path& head, const fs::path& model) -> std::string {
    try {
      eval::read_linear_head(head, open_model(model).config());
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
  };
  const fs::path vision = golden_folder() / "vision";
  EXPECT_THAT(error(kHeads / "linear_head.pth", vision / "dinov2"),
              HasSubstr("expected 40 inputs (class token and mean of the patches) or 100"));
  EXPECT_THAT(error(kHeads / "linear_head.pth", vision / "siglip"), HasSubstr("class token"));
  EXPECT_THAT(error(kHeads / "linear_head.pth", golden_folder() / "models/gpt2"),
              HasSubstr("expected a vision model"));
  EXPECT_THAT(error(golden_folder() / "torch/register-means.pth", kHeads),
              HasSubstr("`weight` and `bias`"));
  EXPECT_THAT(error(kHeads / "no_head.pth", kHeads), HasSubstr("found no such file"));
}

}  // namespace
}  // namespace massact
