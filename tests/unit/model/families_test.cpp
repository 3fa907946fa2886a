// Families: configurations of published models, old and new spellings, and what is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "massact/base/error.h"
#include "massact/model/examples.h"
#include "massact/model/family.h"
#include "paths.h"

namespace massact {
namespace {

using namespace testing_support;
using testing::HasSubstr;
namespace fs = std::filesystem;

ModelConfig read(const JsonObject& config) { return find_family(config).read_config(config); }
ModelConfig read(const char* config) {
  return read(JsonObject(parse_json(config, "test"), "test"));
}

std::string error_of(const char* config) {
  try {
    (void)read(config);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Families, EveryModelTypeHasAnExampleOrIsNamedOld) {
  std::set<std::string> seen = {"RefinedWeb", "RefinedWebModel", "gemma3"};  // tested below
  for (const ExampleConfig& example : example_configs()) {
    seen.insert(example.config.get<std::string>("model_type"));
    EXPECT_NO_THROW((void)find_family(example.config).weights(read(example.config)))
        << example.model;
  }
  for (const Family& family : families()) {
    for (const auto type : family.model_types)
      EXPECT_TRUE(seen.contains(std::string(type))) << type;
  }
}

// A golden's two spellings of the same configuration; HF gives equal logits for both.
TEST(Families, OldAndNewSpellingsMeanTheSame) {
  int compared = 0;
  for (const auto& entry : fs::directory_iterator(golden_folder() / "models")) {
    const fs::path other = entry.path() / "config.alternate.json";
    if (!fs::exists(other)) continue;
    EXPECT_EQ(read(JsonObject::from_file(entry.path() / "config.json", 1 << 20)),
              read(JsonObject::from_file(other, 1 << 20)))
        << entry.path();
    ++compared;
  }
  EXPECT_GT(compared, 20);
}

TEST(Families, NoFamilyFileIsLong) {
  for (const auto& entry : fs::directory_iterator(source_folder() / "src/massact/model/families")) {
    if (entry.path().stem() == "common") continue;
    std::ifstream file(entry.path());
    const auto lines = std::count(std::istreambuf_iterator<char>(file), {}, '\n');
    EXPECT_GT(lines, 10) << entry.path();
    EXPECT_LE(lines, 150) << entry.path();
  }
}

TEST(Families, AnUnknownTypeIsToldTheNearestByItsFields) {
  const std::string error = error_of(R"({"model_type": "newneox", "hidden_size": 64,
    "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128, "vocab_size": 100,
    "rotary_pct": 0.25, "use_parallel_residual": true, "layer_norm_eps": 1e-5})");
  EXPECT_THAT(error, HasSubstr("unsupported model_type 'newneox'"));
  EXPECT_THAT(error, HasSubstr("bloom, clip, clip_vision_model"));
  EXPECT_THAT(error, HasSubstr("the nearest is pythia-6.9b, a gpt_neox"));
  EXPECT_THAT(error_of(R"({"model_type": "other", "n_embd": 8, "n_layer": 1, "n_head": 2,
    "rotary_dim": 4, "n_positions": 64, "activation_function": "gelu_new", "vocab_size": 9})"),
              HasSubstr("the nearest is gpt-j-6b"));
}

TEST(Families, FalconsFirstReleasesHaveTheirOwnNames) {
  const ModelConfig small = read(R"({"model_type": "RefinedWebModel", "hidden_size": 4544,
    "n_layer": 32, "n_head": 71, "vocab_size": 65024, "multi_query": true, "parallel_attn": true,
    "alibi": false, "bias": false})");
  EXPECT_EQ(small.kv_heads, 1);
  EXPECT_EQ(small.order, BlockOrder::parallel_shared);
  const ModelConfig large = read(R"({"model_type": "RefinedWeb", "hidden_size": 8192,
    "n_layer": 60, "n_head": 128, "n_head_kv": 8, "vocab_size": 65024, "parallel_attn": true})");
  EXPECT_EQ(large.kv_heads, 8);
  EXPECT_EQ(large.order, BlockOrder::parallel);
}

TEST(Families, Gemma3WithImagesIsReadByItsTextPart) {
  const ModelConfig model = read(R"({"model_type": "gemma3", "vision_config": {},
    "text_config": {"model_type": "gemma3_text", "hidden_size": 2560, "intermediate_size": 10240,
      "num_hidden_layers": 34, "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
      "sliding_window": 1024}})");
  EXPECT_EQ(model.heads, 8);
  EXPECT_EQ(model.kv_heads, 4);
  EXPECT_EQ(model.head_size, 256);
  EXPECT_EQ(model.rope.factor, 8.0);
  EXPECT_EQ(model.rope_of(5).base, 1e6);
  EXPECT_EQ(model.rope_of(4).base, 1e4);
  EXPECT_EQ(model.rope_of(4).scaling, RopeScaling::none);
}

TEST(Families, Gemma2sSoftCapsCanBeSwitchedOff) {
  constexpr const char* kConfig = R"({"model_type": "gemma2", "hidden_size": 64,
    "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128,
    "vocab_size": 100)";
  const ModelConfig usual = read((std::string(kConfig) + "}").c_str());
  EXPECT_EQ(usual.attention_soft_cap, 50.0f);
  EXPECT_EQ(usual.logit_soft_cap, 30.0f);
  const ModelConfig none =
      read((std::string(kConfig) + R"(, "attn_logit_softcapping": null})").c_str());
  EXPECT_EQ(none.attention_soft_cap, 0.0f);
  EXPECT_EQ(none.logit_soft_cap, 30.0f);
}

TEST(Families, WhatTheBlockCannotDoIsRefusedByName) {
  constexpr const char* kMpt = R"({"model_type": "mpt", "d_model": 64, "n_layers": 1, "n_heads": 4,
    "vocab_size": 10, "attn_config": )";
  const auto mpt = [&](const char* attention) {
    return error_of((std::string(kMpt) + attention + "}").c_str());
  };
  EXPECT_THAT(mpt(R"({"alibi": false})"), HasSubstr("attn_config.alibi] expected true"));
  EXPECT_THAT(mpt(R"({"qk_ln": true})"), HasSubstr("attn_config.qk_ln] expected false"));
  EXPECT_THAT(mpt(R"({"prefix_lm": true})"), HasSubstr("attn_config.prefix_lm]"));
  EXPECT_THAT(error_of(R"({"model_type": "bloom", "hidden_size": 8, "n_layer": 1, "n_head": 2,
    "vocab_size": 9, "apply_residual_connection_post_layernorm": true})"),
              HasSubstr("apply_residual_connection_post_layernorm] expected false"));
  EXPECT_THAT(error_of(R"({"model_type": "gptj", "n_embd": 8, "n_layer": 1, "n_head": 2,
    "vocab_size": 9, "rotary_dim": 6})"),
              HasSubstr("rotary_dim] expected an even number from 2 to 4, got 6"));
  EXPECT_THAT(error_of(R"({"model_type": "phi", "hidden_size": 30, "num_hidden_layers": 1,
    "num_attention_heads": 2, "intermediate_size": 9, "vocab_size": 9,
    "partial_rotary_factor": 0.2})"),
              HasSubstr("partial_rotary_factor] expected an even number"));
  EXPECT_THAT(error_of(R"({"model_type": "falcon", "hidden_size": 30, "num_hidden_layers": 1,
    "num_attention_heads": 4, "vocab_size": 9})"),
              HasSubstr("expected a divisor of the width 30, got 4"));
}

// ---- vision ----

TEST(Families, ImpossibleImagesAndPatchesAreRefused) {
  const auto dinov2 = [](const char* sizes) {
    return error_of((std::string(R"({"model_type": "dinov2", "hidden_size": 32,
      "num_hidden_layers": 1, "num_attention_heads": 2, )") +
                     sizes + "}")
                        .c_str());
  };
  EXPECT_THAT(dinov2(R"("image_size": 8, "patch_size": 14)"),
              HasSubstr("expected patches no larger than the image of 8 x 8 pixels, got 14 x 14"));
  EXPECT_THAT(dinov2(R"("image_size": 224, "patch_size": 0)"),
              HasSubstr("patch_size] expected 1 to 65536, got 0"));
  EXPECT_THAT(dinov2(R"("image_size": [224], "patch_size": 14)"),
              HasSubstr("image_size] expected [height, width], got 1 numbers"));
  EXPECT_THAT(dinov2(R"("image_size": 65536, "patch_size": 1)"), HasSubstr("at most 1048576"));
  EXPECT_THAT(dinov2(R"("image_size": 224, "patch_size": 14, "num_channels": -1)"),
              HasSubstr("num_channels] expected 1 to 1024"));
  EXPECT_THAT(dinov2(R"("image_size": 224, "patch_size": 14, "mlp_ratio": 1e300)"),
              HasSubstr("mlp_ratio]"));
  EXPECT_EQ(dinov2(R"("image_size": [224, 112], "patch_size": [14, 16])"), "no error");
}

TEST(Families, TimmsNamesSayTheArchitecture) {
  const ModelConfig giant = read(R"({"architecture": "vit_giant_patch14_reg4_dinov2",
    "num_classes": 0, "pretrained_cfg": {"input_size": [3, 518, 518]}})");
  EXPECT_EQ(giant.width, 1536);
  EXPECT_EQ(giant.heads, 24);
  EXPECT_EQ(giant.mlp_size, 4096);
  EXPECT_TRUE(giant.gated_mlp && giant.layer_scale);
  EXPECT_EQ(giant.vision.registers, 4);
  EXPECT_EQ(giant.vision.trained_grid(), (PatchGrid{37, 37}));
  const ModelConfig mae = read(R"({"architecture": "vit_huge_patch14_224.mae"})");
  EXPECT_EQ(mae.layers, 32);
  EXPECT_EQ(mae.vision.image_width, 224);
  EXPECT_EQ(mae.logit_count(), 0);
  EXPECT_THAT(error_of(R"({"architecture": "vit_base_patch16_rope_224"})"),
              HasSubstr("got 'rope' in 'vit_base_patch16_rope_224'"));
  EXPECT_THAT(error_of(R"({"architecture": "resnet50"})"), HasSubstr("got 'resnet50'"));
  EXPECT_THAT(
      error_of(R"({"architecture": "vit_base_patch16_224", "model_args": {"parallel": 2}})"),
      HasSubstr("model_args.parallel] expected one of embed_dim"));
}

// Published files leave out what their class has as its default (google/siglip-base-patch16-224).
TEST(Families, TowersMayRelyOnTheDefaultsOfTheirClass) {
  const ModelConfig siglip = read(R"({"model_type": "siglip", "text_config": {},
    "vision_config": {"model_type": "siglip_vision_model"}})");
  EXPECT_EQ(siglip.width, 768);
  EXPECT_EQ(siglip.vision.trained_grid(), (PatchGrid{14, 14}));
  const ModelConfig clip =
      read(R"({"model_type": "clip", "vision_config": {"hidden_act": "gelu"}})");
  EXPECT_EQ(clip.vision.patch_width, 32);
  EXPECT_EQ(clip.head.outputs, 512);
  EXPECT_EQ(clip.activation, ops::Activation::gelu);
  EXPECT_EQ(read(R"({"model_type": "clip_text_model"})").heads, 8);
  EXPECT_EQ(read(R"({"model_type": "dinov2"})").vision.patch_height, 14);
  EXPECT_EQ(read(R"({"model_type": "dinov3_vit"})").head_size, 64);
  EXPECT_THAT(error_of(R"({"model_type": "clip", "vision_config": {"hidden_size": 0}})"),
              HasSubstr("vision_config"));
}

TEST(Families, AClassifierIsThereIfTheArchitectureSaysSo) {
  constexpr const char* kConfig = R"({"model_type": "vit", "hidden_size": 32,
    "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64)";
  const auto model = [&](const char* more) { return read((std::string(kConfig) + more).c_str()); };
  EXPECT_EQ(model(R"(, "architectures": ["ViTModel"], "num_labels": 9})").logit_count(), 0);
  EXPECT_EQ(model(R"(, "architectures": ["ViTForImageClassification"]})").logit_count(), 2);
  EXPECT_EQ(model(R"(, "architectures": ["ViTForImageClassification"],
    "id2label": {"0": "a", "1": "b", "2": "c"}})")
                .logit_count(),
            3);
}

}  // namespace
}  // namespace massact
