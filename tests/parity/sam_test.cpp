// SAM's image encoder: what its windows mean for those who look at pairs of patches, what files
// say it is, and what does not fit. Its values are compared with HF's in vision_parity_test.cpp.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "massact/base/error.h"
#include "massact/ops/attention_sums.h"
#include "parity/collect.h"
#include "parity/images.h"
#include "unit/io/io_test.h"

namespace massact {
namespace {

using namespace testing_support;
using testing::HasSubstr;
namespace fs = std::filesystem;

fs::path golden(const char* name) { return golden_folder() / "vision" / name; }

std::shared_ptr<const PixelSource> golden_image(const char* name) {
  const auto values = open_safetensors(golden(name) / "sites.safetensors");
  std::vector<Tensor> images;
  images.push_back(to_float_tensor(values->view("img0/pixels")));
  return std::make_shared<GoldenImages>(std::move(images));
}

std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

// Of 5 x 5 patches: block 0 has windows of 3 x 3, the lower and right ones padded; block 1 none.
bool in_one_window(std::int64_t i, std::int64_t j) {
  return i / 5 / 3 == j / 5 / 3 && i % 5 / 3 == j % 5 / 3;
}

TEST(SamWindows, PatternsHaveThePaddingInColumnZero) {
  const Model model = open_model(golden("sam"));
  Plan plan(model, golden_image("sam"));
  const std::vector<Site> sites = {{SiteKind::attn_scores, 0},
                                   {SiteKind::pattern, 0},
                                   {SiteKind::attn_scores, 1},
                                   {SiteKind::pattern, 1}};
  const auto& collected = plan.observe(sites, Collect{});
  NoProgress progress;
  run(plan, {.precision = ops::Precision::f32}, progress);
  for (int block = 0; block < 2; ++block) {
    const std::string at = fmt::format("blocks.{}.attn.hook_", block);
    const auto& scores = collected.values().at({0, at + "attn_scores"});
    const auto& pattern = collected.values().at({0, at + "pattern"});
    ASSERT_EQ(pattern.size(), 3u * 25 * 26);
    for (std::size_t row = 0; row < 3 * 25; ++row) {
      const auto i = static_cast<std::int64_t>(row % 25);
      double sum = 0;
      for (std::size_t j = 0; j < 26; ++j) {
        const float p = pattern[row * 26 + j];
        sum += static_cast<double>(p);
        const bool is_patch = j > 0;
        const bool seen = is_patch
                              ? block == 1 || in_one_window(i, static_cast<std::int64_t>(j) - 1)
                              : block == 0 && (i / 5 >= 3 || i % 5 >= 3);
        EXPECT_EQ(p > 0, seen) << at << " query " << i << " column " << j;
        EXPECT_EQ(std::isinf(scores[row * 26 + j]), !seen) << at << i << ", " << j;
      }
      EXPECT_NEAR(sum, 1, 1e-5);
    }
  }
}

// Equation 2 with C = some patches: Σ over C + the padding's share + the rest is the output.
class Terms final : public AttentionObserver {
 public:
  void choose(int, std::int64_t, std::span<std::uint8_t> positions) override {
    positions[0] = positions[7] = positions[24] = 1;
  }
  std::int64_t prefix() const override { return 9; }
  void observe(const AttentionView& view, Threads&) override {
    Block& block = blocks[view.block];
    ops::AttentionSums& sums = view.sums;
    block.closure = *std::max_element(sums.closure.begin(), sums.closure.end());
    block.column_sums = sums.column_sums;
    block.prefix_sums = sums.prefix_sums;
    block.slot_weight = sums.slot_weight;
    block.chosen_weight = sums.chosen_weight;
    block.slot_value.assign(view.options.slot_value.begin(), view.options.slot_value.end());
    const FloatMatrix chosen = sums.output(view.options);
    block.chosen.assign(chosen.data, chosen.data + chosen.rows * chosen.cols);
    for (std::int64_t j = 0; j < view.rows.count; ++j) {
      block.queries_of.push_back(ops::queries_of_key(view.options, j, view.rows.count));
    }
  }

  struct Block {
    float closure = 1;
    std::vector<double> column_sums, prefix_sums;
    std::vector<float> slot_weight, chosen_weight, slot_value, chosen;
    std::vector<std::int64_t> queries_of;
  };
  std::map<int, Block> blocks;
};

TEST(SamWindows, SumsAreThoseOfThePattern) {
  const Model model = open_model(golden("sam"));
  const auto image = golden_image("sam");
  Plan plan(model, image), maps(model, image);
  const auto& terms = plan.watch_attention({0, 1}, Terms{});
  const auto& values = maps.observe({{SiteKind::pattern, 0},
                                     {SiteKind::pattern, 1},
                                     {SiteKind::v, 0},
                                     {SiteKind::v, 1},
                                     {SiteKind::z, 0},
                                     {SiteKind::z, 1}},
                                    Collect{});
  NoProgress progress;
  run(plan, {.precision = ops::Precision::f32}, progress);
  run(maps, {.precision = ops::Precision::f32}, progress);
  for (const auto& [number, block] : terms.blocks) {
    const auto at = [&](const char* site) -> const std::vector<float>& {
      return values.values().at({0, fmt::format("blocks.{}.attn.hook_{}", number, site)});
    };
    EXPECT_LE(block.closure, 1e-5);
    for (std::size_t h = 0; h < 3; ++h) {
      const auto p = [&](std::size_t i, std::size_t column) {
        return static_cast<double>(at("pattern")[(h * 25 + i) * 26 + column]);
      };
      for (std::size_t i = 0; i < 25; ++i) {
        double column = 0, prefix = 0;
        for (std::size_t t = 0; t < 25; ++t) {
          column += p(t, 1 + i);
          if (t < 9) prefix += p(t, 1 + i);
        }
        EXPECT_NEAR(block.column_sums[h * 25 + i], column, 1e-5);
        EXPECT_NEAR(block.prefix_sums[h * 25 + i], prefix, 1e-5);
        EXPECT_NEAR(block.slot_weight[h * 25 + i], p(i, 0), 1e-5);
        EXPECT_NEAR(block.chosen_weight[h * 25 + i], p(i, 1) + p(i, 8) + p(i, 25), 1e-5);
        for (std::size_t c = 0; c < 8; ++c) {
          double rest = 0;
          for (std::size_t j = 0; j < 25; ++j) {
            if (j != 0 && j != 7 && j != 24) rest += p(i, 1 + j) * at("v")[(j * 3 + h) * 8 + c];
          }
          const std::size_t place = (i * 3 + h) * 8 + c;
          const double slot = p(i, 0) * block.slot_value[h * 8 + c];
          EXPECT_NEAR(block.chosen[place] + slot + rest, at("z")[place], 1e-5);
        }
      }
    }
    for (std::int64_t j = 0; j < 25; ++j) {
      const std::int64_t side_y = j / 5 < 3 ? 3 : 2, side_x = j % 5 < 3 ? 3 : 2;
      EXPECT_EQ(block.queries_of[static_cast<std::size_t>(j)], number == 0 ? side_y * side_x : 25);
    }
  }
}

TEST(SamFiles, MetasFileSaysWhatItIs) {
  const ModelConfig official = open_model(golden("sam-official") / "sam_vit_tiny.pth").config();
  EXPECT_EQ(official.name, "sam_image_encoder");
  EXPECT_EQ(official.layers, 3);
  EXPECT_EQ(official.heads, 3);
  EXPECT_EQ(official.mlp_size, 37);
  EXPECT_EQ(official.head.outputs, 8);
  EXPECT_EQ(official.vision.image_height, 20);
  EXPECT_EQ(official.vision.windows, (std::vector<std::int64_t>{3, 0, 3}));
}

// A copy of the golden "sam" with another configuration.
class SamConfig : public testing::Test {
 protected:
  std::string error_with(const std::string& field, const std::string& value) {
    std::ifstream file(golden("sam") / "config.json");
    nlohmann::json config = nlohmann::json::parse(file);
    config["vision_config"][field] = nlohmann::json::parse(value);
    folder_.write("config.json", config.dump());
    fs::copy_file(golden("sam") / "model.safetensors", folder_.path() / "model.safetensors",
                  fs::copy_options::overwrite_existing);
    return error_of([&] { (void)open_model(folder_.path()); });
  }
  io_test::TemporaryDirectory folder_;
};

TEST_F(SamConfig, MustFitTheTablesOfRelativePositions) {
  EXPECT_EQ(error_with("window_size", "3"), "no error");
  const std::string window = error_with("window_size", "4");
  EXPECT_THAT(window,
              HasSubstr("vision_encoder.layers.0.attn.rel_pos_h expected [7, 8] got [5, 8]"));
  EXPECT_THAT(window, Not(HasSubstr("layers.1.attn.rel_pos_h")));
  const std::string blocks = error_with("global_attn_indexes", "[0]");
  EXPECT_THAT(blocks, HasSubstr("layers.0.attn.rel_pos_w expected [9, 8] got [5, 8]"));
  EXPECT_THAT(blocks, HasSubstr("layers.1.attn.rel_pos_w expected [5, 8] got [9, 8]"));
  EXPECT_THAT(error_with("window_size", "-1"), HasSubstr("window_size"));
  EXPECT_THAT(error_with("image_size", "24"), HasSubstr("pos_embed expected [1, 6, 6, 24]"));
  EXPECT_THAT(error_with("output_channels", "9"),
              HasSubstr("neck.conv2.weight expected [9, 9, 3, 3]"));
  EXPECT_THAT(error_with("num_hidden_layers", "3"),
              HasSubstr("missing: vision_encoder.layers.2.layer_norm1"));
}

TEST(SamImages, AreOfOneSize) {
  std::vector<Tensor> images;
  images.emplace_back(DType::f32, Shape{3, 24, 20});
  const auto other = std::make_shared<GoldenImages>(std::move(images));
  EXPECT_THAT(error_of([&] { Plan plan(open_model(golden("sam")), other); }),
              HasSubstr("expected images of 20 x 20 pixels"));
}

TEST(SamImages, TakeNoAddedTokens) {
  for (const char* name : {"sam", "sam-global"}) {
    std::vector<Tensor> images;
    images.emplace_back(DType::f32, Shape{3, 20, 20});
    Plan plan(open_model(golden(name)), std::make_shared<GoldenImages>(std::move(images)));
    EXPECT_THAT(error_of([&] { plan.fork("one more", {}, 1); }), HasSubstr("relative positions"));
  }
}

TEST(SamSites, WhatItDoesNotHaveIsSaid) {
  const Model model = open_model(golden("sam"));
  EXPECT_THAT(absence(SiteKind::ln_final_out, model.config()), HasSubstr("no final norm"));
  EXPECT_EQ(site_shape(SiteKind::logits, model.config(), 25), (std::vector<std::int64_t>{25, 8}));
  EXPECT_EQ(site_shape(SiteKind::pattern, model.config(), 25),
            (std::vector<std::int64_t>{3, 25, 26}));
  // Without windows there is no padding.
  EXPECT_EQ(site_shape(SiteKind::pattern, open_model(golden("sam-global")).config(), 25),
            (std::vector<std::int64_t>{3, 25, 25}));
}

}  // namespace
}  // namespace massact
