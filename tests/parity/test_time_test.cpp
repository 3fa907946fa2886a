// Streams that add tokens, and the move of neurons' activations to them (test-time registers),
// against HF transformers with hooks (tools/golden/make_test_time.py).
#include <gtest/gtest.h>

#include <algorithm>

#include "massact/base/error.h"
#include "massact/edit/edit_plan.h"
#include "massact/edit/move.h"
#include "massact/study/image_labels.h"
#include "parity/collect.h"
#include "parity/compare.h"
#include "parity/images.h"

namespace massact {
namespace {

using namespace testing_support;
namespace fs = std::filesystem;

std::vector<Site> sites_of_blocks(const ModelConfig& config, bool maps = true) {
  auto sites = all_sites(config);
  std::erase_if(sites, [&](Site site) {
    const bool map = site.kind == SiteKind::attn_scores || site.kind == SiteKind::pattern;
    return site.kind == SiteKind::embed || site.kind == SiteKind::pos_embed || (map && !maps);
  });
  return sites;
}

class TestTime : public testing::TestWithParam<std::string> {
 protected:
  TestTime()
      : model_(open_model(golden_folder() / "vision" / GetParam())),
        golden_(open_safetensors(golden_folder() / "test-time" / (GetParam() + ".safetensors"))) {
    std::vector<Tensor> images;
    for (const char* name : {"img0/pixels", "img1/pixels"}) {
      images.push_back(to_float_tensor(golden_->view(name)));
    }
    images_ = std::make_shared<GoldenImages>(std::move(images));
  }

  /// Forks the golden plan's variant.
  int fork(Plan& plan) const {
    const auto path = golden_folder() / "test-time" / (GetParam() + ".json");
    const auto edits = edit::EditPlan::from_file(path, model_);
    const edit::VariantSpec& variant = edits.variants.front();
    edit::EditContext context;
    context.labels = std::make_shared<const ImageLabels>(model_.config(), *images_);
    return plan.fork(variant.name,
                     edit::build_edits(variant, context, edit::rows_of(plan), model_.config()),
                     variant.added_tokens);
  }

  SiteValues run_variant(const std::vector<Site>& sites, const RunOptions& options) const {
    Plan plan(model_, images_);
    const auto& collected = plan.observe(sites, Collect{}, fork(plan));
    NoProgress progress;
    run(plan, options, progress);
    return collected.values();
  }

  void expect_golden(const std::vector<Site>& sites) const {
    const SiteValues got = run_variant(sites, {.precision = ops::Precision::f32});
    std::size_t compared = 0;
    for (const auto& [place, values] : got) {
      const std::string name = fmt::format("img{}/{}", place.first, place.second);
      if (golden_->find(name) == nullptr) continue;
      ++compared;
      const Tensor tensor = to_float_tensor(golden_->view(name));
      const bool map = is_attention_map(parse_site(place.second, model_.config()).kind);
      const std::int64_t rows = map ? tensor.shape()[0] * tensor.shape()[1] : tensor.shape()[0];
      const std::vector<float> expected(tensor.floats().begin(), tensor.floats().end());
      EXPECT_EQ(compare_vectors(values, expected, std::ssize(expected) / rows), "") << name;
    }
    EXPECT_GT(compared, sites.size());  // all of the first image, some of the second
  }

  Model model_;
  std::shared_ptr<const WeightSource> golden_;
  std::shared_ptr<const PixelSource> images_;
};

TEST_P(TestTime, EverySiteInF32) { expect_golden(sites_of_blocks(model_.config())); }

TEST_P(TestTime, FastAttentionInF32) { expect_golden(sites_of_blocks(model_.config(), false)); }

// Beside a stream with added rows the original is what it is alone, in any number of passes.
TEST_P(TestTime, TheOriginalAndTheBitsStay) {
  const auto sites = sites_of_blocks(model_.config());
  std::vector<std::pair<SiteValues, SiteValues>> results;
  for (const bool scarce : {false, true}) {
    Plan plan(model_, images_);
    const int variant = fork(plan);
    const auto& original = plan.observe(sites, Collect{});
    const auto& moved = plan.observe(sites, Collect{}, variant);
    RunOptions options = {.precision = ops::Precision::f32, .threads = scarce ? 1 : 3};
    if (scarce) {
      const MemoryPlan memory = plan_memory(plan, options);
      options.memory = memory.total - memory.hidden / 4;
      EXPECT_EQ(plan_memory(plan, options).passes(), 2);
    }
    NoProgress progress;
    run(plan, options, progress);
    results.emplace_back(original.values(), moved.values());
  }
  EXPECT_EQ(results[0], results[1]);
  Plan alone(model_, images_);
  const auto& original = alone.observe(sites, Collect{});
  NoProgress progress;
  run(alone, {.precision = ops::Precision::f32}, progress);
  EXPECT_EQ(results[0].first, original.values());
  EXPECT_NE(results[0].first, results[0].second);
}

INSTANTIATE_TEST_SUITE_P(Golden, TestTime,
                         testing::Values("vit", "clip-vision", "dinov2", "dinov2-swiglu",
                                         "siglip-vision", "dinov3"),
                         [](const auto& param_info) {
                           std::string name = param_info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// ---- what does not fit ----

std::shared_ptr<const PixelSource> grey_image() {
  std::vector<Tensor> images;
  images.emplace_back(DType::f32, Shape{3, 17, 17});
  for (float& pixel : images.back().floats()) pixel = 0.5f;
  return std::make_shared<GoldenImages>(std::move(images));
}

TEST(AddedTokens, AreForImages) {
  Plan plan(open_model(golden_folder() / "models/gpt2"), {{1, 2}});
  EXPECT_THROW(plan.fork("one more", {}, 1), UsageError);
}

TEST(AddedTokens, AreNotWithoutEnd) {
  Plan plan(open_model(golden_folder() / "vision/dinov2"), grey_image());
  for (const std::int64_t count : {std::int64_t{-1}, std::int64_t{5000}, INT64_MAX}) {
    EXPECT_THROW(plan.fork("many", {}, count), UsageError) << count;
  }
}

TEST(AddedTokens, StandInTheBlocksOnly) {
  const Model model = open_model(golden_folder() / "vision/dinov2");
  Plan plan(model, grey_image());
  const std::int64_t rows = std::ssize(plan.tokens(0));
  const int stream = plan.fork("one more", {}, 1);
  EXPECT_EQ(std::ssize(plan.tokens(0)), rows);
  EXPECT_EQ(std::ssize(plan.tokens(0, stream)), rows + 1);
  EXPECT_EQ(plan.tokens(0, stream).back(), kAddedToken);
  const Site inside = {SiteKind::resid_post, 1}, end = {SiteKind::ln_final_out, -1};
  const auto& collected = plan.observe({inside, end}, Collect{}, stream);
  NoProgress progress;
  run(plan, {}, progress);
  const auto width = static_cast<std::size_t>(model.config().width);
  EXPECT_EQ(collected.values().at({0, name_of(inside)}).size(),
            static_cast<std::size_t>(rows + 1) * width);
  EXPECT_EQ(collected.values().at({0, name_of(end)}).size(),
            static_cast<std::size_t>(rows) * width);
}

TEST(AddedTokens, NothingMovesWhereThereAreNone) {
  const Model model = open_model(golden_folder() / "vision/dinov2");
  Plan plan(model, grey_image());
  std::vector<SiteEdit> edits;
  edits.push_back(
      {{SiteKind::mlp_post, 0},
       edit::move_to_added(edit::by_position({}, {1}, nullptr, 0), edit::Strongest::maximum, 0)});
  plan.fork("move", std::move(edits));
  NoProgress progress;
  EXPECT_THROW(run(plan, {}, progress), Error);
}

}  // namespace
}  // namespace massact
