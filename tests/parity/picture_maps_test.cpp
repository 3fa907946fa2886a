// Maps over pictures, against the values of the same run's sites.
#include "massact/study/picture_maps.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <set>

#include "massact/image/encode.h"
#include "massact/study/explain.h"
#include "parity/collect.h"
#include "paths.h"
#include "unit/io/io_test.h"

namespace massact {
namespace {

using testing_support::Collect;
using testing_support::golden_folder;

Image gradient(std::int64_t width, std::int64_t height) {
  Image image(width, height);
  for (std::int64_t y = 0; y < height; ++y) {
    for (std::int64_t x = 0; x < width; ++x) {
      std::uint8_t* pixel = image.row(y) + 3 * x;
      pixel[0] = static_cast<std::uint8_t>(11 * x);
      pixel[1] = static_cast<std::uint8_t>(9 * y);
      pixel[2] = static_cast<std::uint8_t>(x * y);
    }
  }
  return image;
}

TEST(EncodePng, DecodesToTheSamePixels) {
  const Image image = gradient(7, 5);
  const std::string file = encode_png(image);
  const Image again = decode_image(std::as_bytes(std::span(file)), "test");
  EXPECT_EQ(again.width, 7);
  EXPECT_EQ(again.height, 5);
  EXPECT_EQ(again.rgb, image.rgb);
  EXPECT_THROW(encode_png(Image()), Error);
}

class PictureMapsTest : public testing::Test {
 protected:
  std::shared_ptr<const ImageFiles> images() {
    folder_.write("a.png", encode_png(gradient(22, 22)));
    folder_.write("b.png", encode_png(gradient(40, 30)));
    Preprocess steps;
    steps.resize_to = {22, 22};
    steps.mean = {0.4, 0.5, 0.6};
    steps.std = {0.2, 0.3, 0.25};
    const std::vector<std::filesystem::path> paths = {folder_.path()};
    return std::make_shared<const ImageFiles>(list_images(paths), steps, ImageFilesOptions{},
                                              threads_);
  }

  io_test::TemporaryDirectory folder_;
  Threads threads_{2};
  NoProgress progress_;
};

TEST_F(PictureMapsTest, NormsAndAttentionAreThoseOfTheSites) {
  const Model model = open_model(golden_folder() / "vision/dinov2-registers");
  const ModelConfig& config = model.config();
  const auto pictures = images();
  const PictureMaps maps = map_pictures(model, pictures, {}, progress_);
  ASSERT_EQ(maps.pictures.size(), 2u);
  EXPECT_EQ(maps.class_tokens, 1);
  EXPECT_GT(maps.registers, 0);
  EXPECT_TRUE(maps.of_class_token);
  const auto tokens = static_cast<std::size_t>(1 + maps.registers + maps.grid.count());

  Plan plan(model, pictures);
  std::vector<Site> sites;
  for (int block = 0; block < config.layers; ++block) {
    sites.push_back({SiteKind::resid_post, block});
    sites.push_back({SiteKind::pattern, block});
  }
  const auto& collected = plan.observe(sites, Collect{});
  run(plan, {}, progress_);
  for (std::size_t i = 0; i < 2; ++i) {
    ASSERT_EQ(maps.pictures[i].layers.size(), static_cast<std::size_t>(config.layers));
    for (const PictureLayer& layer : maps.pictures[i].layers) {
      ASSERT_EQ(layer.norms.size(), tokens);
      ASSERT_EQ(layer.attention.size(), tokens);
      const auto sequence = static_cast<std::int64_t>(i);
      const auto& hidden =
          collected.values().at({sequence, name_of(Site{SiteKind::resid_post, layer.layer - 1})});
      const auto& pattern =
          collected.values().at({sequence, name_of(Site{SiteKind::pattern, layer.layer - 1})});
      for (std::size_t t = 0; t < tokens; ++t) {
        double energy = 0;
        for (std::int64_t d = 0; d < config.width; ++d) {
          const auto value = static_cast<double>(
              hidden[t * static_cast<std::size_t>(config.width) + static_cast<std::size_t>(d)]);
          energy += value * value;
        }
        EXPECT_NEAR(layer.norms[t], std::sqrt(energy), 1e-5 * std::sqrt(energy));
        // [H, T, T]: the row of query 0, mean over heads.
        double share = 0;
        for (std::size_t h = 0; h < static_cast<std::size_t>(config.heads); ++h) {
          share += static_cast<double>(pattern[h * tokens * tokens + t]) /
                   static_cast<double>(config.heads);
        }
        EXPECT_NEAR(layer.attention[t], share, 1e-6);
      }
      EXPECT_NEAR(std::accumulate(layer.attention.begin(), layer.attention.end(), 0.0), 1.0, 1e-5);
    }
  }
}

TEST_F(PictureMapsTest, ThePictureIsWhatTheModelSaw) {
  const Model model = open_model(golden_folder() / "vision/dinov2-registers");
  const PictureMaps maps = map_pictures(model, images(), {}, progress_);
  // The first one has the model's size: nothing was resized.
  EXPECT_EQ(maps.pictures[0].image.rgb, gradient(22, 22).rgb);
  EXPECT_EQ(maps.pictures[1].image.width, 22);
  EXPECT_NE(maps.pictures[1].file.find("b.png"), std::string::npos);
}

// LayerScale, attention in both directions, patches as sources: every sum of the chain closes.
TEST_F(PictureMapsTest, ExplanationsOfImagesClose) {
  for (const char* name : {"dinov2", "dinov2-registers", "dinov2-swiglu"}) {
    SCOPED_TRACE(name);
    const Model model = open_model(golden_folder() / "vision" / name);
    const ExplainResult result = run_explain(model, images(),
                                             {.run = {.precision = ops::Precision::f32},
                                              .rule = Rule::thresholds(0.0, 3.0),
                                              .maps = {{2, 0}}},
                                             progress_);
    ASSERT_TRUE(result.facts.images.has_value());
    EXPECT_EQ(result.sink_length, result.facts.seq_len);
    ASSERT_FALSE(result.findings.empty());
    int splits = 0;
    for (const ExplainFinding& finding : result.findings) {
      EXPECT_TRUE(std::set<std::string>({"cls", "register", "patch"})
                      .contains(finding.finding.position_class));
      EXPECT_LE(finding.closure, 1e-5);
      if (!finding.birth) continue;  // largest in the embedding: no block wrote it
      const ExplainWrite& birth = *finding.birth;
      if (!birth.mlp_split || !birth.heads_split) continue;
      ++splits;
      EXPECT_LE(birth.mlp_split->closure, 1e-5);
      EXPECT_LE(birth.heads_split->closure, 1e-5);
      EXPECT_LE(birth.heads_split->source_closure, 1e-5);
      double sources = 0;
      for (const ExplainSource& source : birth.heads_split->list.front().sources) {
        sources += source.tokens;
      }
      EXPECT_DOUBLE_EQ(sources, static_cast<double>(result.facts.seq_len));
    }
    EXPECT_GT(splits, 0);
    for (const SinkLayer& layer : result.sinks) {
      double all = 0;
      for (const ClassSink& sink : layer.classes) {
        if (sink.group == "cls" || sink.group == "register" || sink.group == "patch") {
          all += sink.probability;
        }
      }
      EXPECT_NEAR(all, 1.0, 1e-5);
    }
    EXPECT_FALSE(result.replacement.has_value());
    EXPECT_EQ(result.maps.front().queries, result.facts.seq_len);
  }
}

}  // namespace
}  // namespace massact
