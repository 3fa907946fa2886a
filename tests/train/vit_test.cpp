// The vision transformer: HF's values, whole runs, and what the monitor reads.
#include "train/vit.h"

#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "helpers.h"
#include "massact/base/error.h"
#include "paths.h"
#include "train/attention.h"
#include "train/checkpoint.h"
#include "train/export.h"
#include "train/logits.h"
#include "train/loop.h"
#include "train/monitor.h"
#include "train/procedural.h"
#include "train/source.h"
#include "train/tensor_files.h"

namespace massact::train {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

template <typename Work>
std::string error_of(const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

// The checkpoints and logits of tools/golden/make_train_vit.py.
TEST(Vit, GivesTheLogitsOfHuggingFace) {
  const at::NoGradGuard no_grad;
  for (const char* name : {"dinov2", "dinov2_with_registers"}) {
    const fs::path dir = testing_support::golden_folder() / "train" / name;
    const Model model = load_model(dir);
    const auto golden = load_tensors(dir / "golden.safetensors");
    const at::Tensor logits = model.logits(golden.at("pixels"));
    EXPECT_GT(golden.at("logits").std().item<double>(), 0.1);
    EXPECT_TRUE(at::allclose(logits, golden.at("logits"), 1e-4, 1e-4)) << name << "\n"
                                                                       << logits << "\n"
                                                                       << golden.at("logits");
    // Written again it is the same model under the same names.
    const TemporaryFolder folder;
    save_model(model, folder.path(), at::kFloat, 0);
    const auto again = load_tensors(folder / "model.safetensors");
    for (const auto& [tensor, values] : load_tensors(dir / "model.safetensors")) {
      ASSERT_TRUE(again.contains(tensor)) << tensor;
      EXPECT_TRUE(at::equal(again.at(tensor), values)) << tensor;
    }
  }
}

TEST(Vit, ModelsWithAndWithoutRegistersStartTheSame) {
  auto c = tiny_model(Architecture::vit, Attention::standard);
  const Model with(c, 5);
  c.registers = 0;
  const Model without(c, 5);
  for (const auto& spec : without.parameters().specs()) {
    std::string name = spec.name;
    if (name.starts_with("dinov2.")) name.replace(0, 7, "dinov2_with_registers.");
    EXPECT_TRUE(at::equal(with.parameters().at(name), without.parameters().at(spec.name))) << name;
  }
  EXPECT_EQ(with.parameters().specs().size(), without.parameters().specs().size() + 1);
}

TEST(Vit, RefusesWhatDoesNotFit) {
  const auto good = tiny_model(Architecture::vit, Attention::standard);
  const auto refusal = [&](const auto& change) {
    auto c = good;
    change(c);
    return error_of([&] { Model(c, 1); });
  };
  EXPECT_THAT(refusal([](auto& c) { c.patch = 5; }), HasSubstr("--patch"));
  EXPECT_THAT(refusal([](auto& c) { c.image_size = 8; }), HasSubstr("--image-size"));
  EXPECT_THAT(refusal([](auto& c) { c.mlp = 25; }), HasSubstr("--mlp"));
  EXPECT_THAT(refusal([](auto& c) { c.kv_heads = 2; }), HasSubstr("--kv-heads"));
  EXPECT_THAT(refusal([](auto& c) { c.registers = -1; }), HasSubstr("--registers"));
  EXPECT_THAT(refusal([](auto& c) { c.labels.pop_back(); }), HasSubstr("id2label"));
  EXPECT_THAT(refusal([](auto& c) { c.attention = Attention::sink_token; }),
              HasSubstr("use --registers"));
  EXPECT_THAT(refusal([](auto& c) { c.attention = Attention::qkv_bias; }), HasSubstr("biases"));
  auto text = tiny_model(Architecture::llama, Attention::standard);
  text.registers = 1;
  EXPECT_THAT(error_of([&] { Model(text, 1); }), HasSubstr("only vit has registers"));
  const Model model(good, 1);
  EXPECT_THAT(error_of([&] { model.logits(at::zeros({1, 3, 24, 24})); }), HasSubstr("16 x 16"));
}

class VitRuns : public testing::Test {
 protected:
  VitRuns() { at::set_num_threads(1); }

  RunOptions options(const std::string& name) const {
    RunOptions o;
    o.data = kProceduralData;
    o.out = folder_ / name;
    o.model = tiny_model(Architecture::vit, Attention::eab);
    o.train = tiny_run();
    return o;
  }
  static std::string running(const RunOptions& o) {
    return error_of([&] { run_training(o, [](const std::string&) {}); });
  }
  static nlohmann::json last(const fs::path& run, const std::string& kind) {
    std::ifstream in(run / "metrics.jsonl");
    nlohmann::json found;
    for (std::string line; std::getline(in, line);) {
      const auto record = nlohmann::json::parse(line);
      if (record["kind"] == kind) found = record;
    }
    return found;
  }

  TemporaryFolder folder_;
};

TEST_F(VitRuns, AResumedRunIsBitForBitTheUninterruptedOne) {
  auto whole = options("whole");
  ASSERT_EQ(running(whole), "no error");
  auto resumed = options("resumed");
  ASSERT_EQ(running(resumed), "no error");
  fs::remove_all(resumed.out / "step-00000012");
  resumed.resume = true;
  ASSERT_EQ(running(resumed), "no error");
  for (const char* file : {"model.safetensors", "optimizer.safetensors"}) {
    EXPECT_EQ(read_file(whole.out / "latest" / file), read_file(resumed.out / "latest" / file));
  }
  EXPECT_NE(read_file(whole.out / "step-00000006" / "model.safetensors"),
            read_file(whole.out / "latest" / "model.safetensors"));
}

TEST_F(VitRuns, LearnsAndWritesACheckpointWithItsPreprocessing) {
  auto o = options("run");
  o.model.layers = 1;
  o.model.width = 32;
  o.model.mlp = 128;
  o.model.patch = 4;
  o.model.layer_scale = 1;
  o.train.lr = 1e-2;
  o.train.warmup = 20;
  o.train.steps = 500;
  o.train.batch = 16;
  o.train.eval_sequences = 128;
  ASSERT_EQ(running(o), "no error");
  const auto eval = last(o.out, "eval");
  // Better than chance: this small and short, a little.
  EXPECT_LT(eval["loss"].get<double>(), std::log(16.0) - 0.05);
  EXPECT_GT(eval["top1"].get<double>(), 1.25 / 16);
  EXPECT_TRUE(last(o.out, "train").contains("images_per_s"));
  const auto layer = last(o.out, "monitor")["layers"][0];
  for (const char* field : {"register_attention", "peak_attention", "norm_ratio"}) {
    EXPECT_GT(layer[field].get<double>(), 0) << field;
  }
  export_checkpoint({o.out / "latest", folder_ / "model", true});
  const auto config = nlohmann::json::parse(read_file(folder_ / "model" / "config.json"));
  EXPECT_EQ(config["model_type"], "dinov2_with_registers");
  EXPECT_EQ(config["massact"]["attention"], "eab");
  EXPECT_EQ(config["id2label"]["1"], procedural_labels()[1]);
  EXPECT_FALSE(config.contains("bos_token_id"));
  const auto processor =
      nlohmann::json::parse(read_file(folder_ / "model" / "preprocessor_config.json"));
  EXPECT_EQ(processor["size"]["shortest_edge"], 16);
  EXPECT_EQ(processor["crop_size"]["height"], 16);
}

TEST_F(VitRuns, RefusesToMixRunsAndData) {
  auto o = options("run");
  ASSERT_EQ(running(o), "no error");
  o.resume = true;
  auto other = o;
  other.model.registers = 0;
  EXPECT_THAT(running(other), HasSubstr("dinov2_with_registers\" is not \"dinov2\""));
  other = o;
  other.model.patch = 4;
  EXPECT_THAT(running(other), HasSubstr("patch_size 8 is not 4"));
  other = options("text");
  other.data = sample_data(folder_);
  EXPECT_THAT(running(other), HasSubstr("[--data] expected procedural for vit"));
  other.model = tiny_model(Architecture::llama, Attention::standard);
  other.data = kProceduralData;
  EXPECT_THAT(running(other), HasSubstr("[--data] expected a folder written by prepare for llama"));
}

TEST_F(VitRuns, StopsWhenTheLossIsNoLongerFinite) {
  auto o = options("diverging");
  o.train.lr = o.train.min_lr = 1e30;
  o.train.clip = 0;
  o.train.warmup = 0;
  EXPECT_THAT(running(o), HasSubstr("expected a finite loss"));
}

TEST_F(VitRuns, LogitsAreThoseOfTheHeldOutImages) {
  auto o = options("run");
  ASSERT_EQ(running(o), "no error");
  const fs::path out = folder_ / "logits.npy";
  write_logits({o.out / "latest", {}, {3, 5}, out});
  EXPECT_GT(fs::file_size(out), 2u * 16 * sizeof(float));
  const auto refusal = [&](LogitsOptions wanted) {
    return error_of([&] { write_logits(wanted); });
  };
  EXPECT_THAT(refusal({o.out / "latest", {1, 2}, {}, out}), HasSubstr("--images"));
  EXPECT_THAT(refusal({o.out / "latest", {}, {-1}, out}), HasSubstr("expected numbers"));
  const Batch batch = draw_batch(kHeldOutSeed, {3, 5}, 16);
  EXPECT_EQ(batch.targets[1].item<std::int64_t>(), draw_image(kHeldOutSeed, 5, 16).label);
  EXPECT_LE(batch.inputs.abs().max().item<double>(), 1);
}

TEST(VitMonitor, FindsAPlantedTokenAndWhoAttendsToIt) {
  for (const auto attention : {Attention::standard, Attention::eab}) {
    auto c = tiny_model(Architecture::vit, attention);
    Model model(c, 3);
    // The second register gets one huge dimension; it stays in the residual stream.
    at::Tensor registers =
        model.parameters().at(vit_prefix(c) + "embeddings.register_tokens").detach();
    registers[0][1][5].fill_(-500.0);
    const Batch batch = tiny_batch(c, at::kFloat);
    const auto readings = monitor(model, batch);
    Trace trace;
    model.logits(batch.inputs, &trace);
    ASSERT_EQ(readings.size(), 2u);
    const std::int64_t slot = has_slot(attention) ? 1 : 0;
    for (std::size_t i = 0; i < 2; ++i) {
      const auto& r = readings[i];
      EXPECT_NEAR(r.top[0].value, -500.0, 1.0);
      EXPECT_EQ(r.top[0].position, 2);
      EXPECT_EQ(r.top[0].dimension, 5);
      const at::Tensor p = trace.pattern[i];  // 2,4,7,7+slot
      const auto from_later = [&](std::int64_t column) {
        return p.narrow(2, 1, 6).select(3, slot + column).mean().item<double>();
      };
      EXPECT_NEAR(r.first_token_attention, from_later(0), 1e-6);
      EXPECT_NEAR(r.register_attention, from_later(1) + from_later(2), 1e-6);
      EXPECT_NEAR(r.peak_attention, p.select(3, slot + 2).mean().item<double>(), 1e-6);
      EXPECT_GT(r.norm_ratio, 50);
    }
  }
}

}  // namespace
}  // namespace massact::train
