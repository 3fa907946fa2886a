// Whole runs: resuming, stopping, failing; checkpoints that others can read.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <ATen/Parallel.h>
#include <csignal>
#include <nlohmann/json.hpp>

#include "helpers.h"
#include "massact/base/error.h"
#include "massact/base/interrupt.h"
#include "paths.h"
#include "train/checkpoint.h"
#include "train/export.h"
#include "train/hf_config.h"
#include "train/loop.h"
#include "train/monitor.h"
#include "train/presets.h"
#include "train/procedural.h"

namespace massact::train {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class Runs : public testing::Test {
 protected:
  Runs() { at::set_num_threads(1); }

  RunOptions options(const std::string& name) const {
    RunOptions o;
    o.data = data_;
    o.out = folder_ / name;
    o.model = tiny_model(Architecture::llama, Attention::eab);
    o.model.context = 16;
    o.train = tiny_run();
    return o;
  }

  static std::string running(const RunOptions& o) {
    try {
      run_training(o, [](const std::string&) {});
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }

  /// The records of a run without what a clock wrote.
  static std::vector<nlohmann::json> metrics(const fs::path& run) {
    std::ifstream in(run / "metrics.jsonl");
    std::vector<nlohmann::json> records;
    for (std::string line; std::getline(in, line);) {
      records.push_back(nlohmann::json::parse(line));
      records.back().erase("tokens_per_s");
    }
    return records;
  }

  TemporaryFolder folder_;
  fs::path data_ = sample_data(folder_);
};

TEST_F(Runs, AResumedRunIsBitForBitTheUninterruptedOne) {
  auto whole = options("whole");
  ASSERT_EQ(running(whole), "no error");
  auto resumed = options("resumed");
  ASSERT_EQ(running(resumed), "no error");
  // Killed after the first checkpoint, with later records already in the log.
  fs::remove_all(resumed.out / "step-00000012");
  resumed.resume = true;
  ASSERT_EQ(running(resumed), "no error");
  for (const char* file : {"model.safetensors", "optimizer.safetensors"}) {
    EXPECT_EQ(read_file(whole.out / "latest" / file), read_file(resumed.out / "latest" / file))
        << file;
  }
  EXPECT_EQ(metrics(whole.out), metrics(resumed.out));
  EXPECT_GT(metrics(whole.out).size(), 5u);
  EXPECT_NE(read_file(whole.out / "step-00000006" / "model.safetensors"),
            read_file(whole.out / "latest" / "model.safetensors"));
}

TEST_F(Runs, TrainingLowersTheLoss) {
  auto o = options("longer");
  o.train.steps = 60;
  ASSERT_EQ(running(o), "no error");
  std::vector<double> losses;
  for (const auto& record : metrics(o.out)) {
    if (record["kind"] == "eval") losses.push_back(record["loss"].get<double>());
  }
  ASSERT_GE(losses.size(), 2u);
  EXPECT_LT(losses.back(), losses.front() - 0.5);
}

TEST_F(Runs, AnInterruptWritesACheckpointAndStops) {
  auto o = options("stopped");
  request_interrupt();
  EXPECT_THAT(running(o), HasSubstr("stopped"));
  clear_interrupt();
  EXPECT_TRUE(fs::exists(o.out / "step-00000001" / "model.safetensors"));
  o.resume = true;
  EXPECT_EQ(running(o), "no error");
  EXPECT_EQ(metrics(o.out).back()["step"], 12);
}

TEST_F(Runs, RefusesToMixRuns) {
  auto o = options("run");
  ASSERT_EQ(running(o), "no error");
  EXPECT_THAT(running(o), HasSubstr("--resume continues it"));
  o.resume = true;
  auto other = o;
  other.model = tiny_model(Architecture::gpt2, Attention::standard);
  other.model.context = 16;
  EXPECT_THAT(running(other), HasSubstr("model_type \"llama\" is not \"gpt2\""));
  other = o;
  other.model.attention = Attention::standard;
  EXPECT_THAT(running(other), HasSubstr("attention"));
  other = o;
  other.train.lr = 5e-3;
  EXPECT_THAT(running(other), HasSubstr("lr 0.004 is not 0.005"));
}

TEST_F(Runs, ADamagedCheckpointIsAnError) {
  auto o = options("run");
  ASSERT_EQ(running(o), "no error");
  o.resume = true;
  fs::resize_file(o.out / "latest" / "optimizer.safetensors", 500);
  EXPECT_THAT(running(o), HasSubstr("optimizer.safetensors"));
}

TEST_F(Runs, StopsWhenTheLossIsNoLongerFinite) {
  auto o = options("diverging");
  o.train.lr = 1e30;
  o.train.min_lr = 1e30;
  o.train.clip = 0;
  o.train.warmup = 0;
  o.train.checkpoint_interval = 1;
  const std::string message = running(o);
  EXPECT_THAT(message, HasSubstr("expected a finite loss"));
  // Only the first step's loss was that of sound weights.
  EXPECT_THAT(message, HasSubstr("at step 2 (last good checkpoint: none yet"));
  EXPECT_FALSE(fs::exists(o.out / "latest"));
}

TEST_F(Runs, ACheckpointOfWeightsThatFailIsSetAside) {
  auto o = options("run");
  ASSERT_EQ(running(o), "no error");
  fs::remove_all(o.out / "step-00000012");
  fs::copy(o.out / "step-00000006", o.out / "step-00000003");
  Model broken = load_model(o.out / "step-00000006");
  broken.parameters().values().fill_(std::numeric_limits<float>::quiet_NaN());
  save_model(broken, o.out / "step-00000006", at::kFloat, 1);
  o.resume = true;
  const std::string message = running(o);
  EXPECT_THAT(message, HasSubstr("at step 7"));
  EXPECT_THAT(message, HasSubstr("last good checkpoint: " + (o.out / "step-00000003").string()));
  EXPECT_FALSE(fs::exists(o.out / "step-00000006"));
  EXPECT_TRUE(fs::exists(o.out / "failed-step-00000006"));
  EXPECT_EQ(fs::read_symlink(o.out / "latest"), "step-00000003");
}

TEST_F(Runs, AFullDiskKeepsTheOldCheckpoint) {
  auto o = options("full");
  ASSERT_EQ(running(o), "no error");
  const std::string before = read_file(o.out / "latest" / "model.safetensors");
  o.train.steps = 12;
  fs::remove_all(o.out / "step-00000012");
  fs::remove(o.out / "latest");
  fs::create_directory_symlink("step-00000006", o.out / "latest");
  const std::string kept = read_file(o.out / "latest" / "model.safetensors");
  o.resume = true;
  // A limit on file sizes fails writes as a full disk does.
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit old{};
  getrlimit(RLIMIT_FSIZE, &old);
  rlimit small = old;
  small.rlim_cur = 20000;
  setrlimit(RLIMIT_FSIZE, &small);
  const std::string message = running(o);
  setrlimit(RLIMIT_FSIZE, &old);
  EXPECT_THAT(message, HasSubstr("model.safetensors"));
  EXPECT_EQ(read_file(o.out / "latest" / "model.safetensors"), kept);
  EXPECT_FALSE(fs::exists(o.out / ".writing-step-00000012"));
  EXPECT_EQ(running(o), "no error");
  EXPECT_EQ(read_file(o.out / "latest" / "model.safetensors"), before);
}

TEST_F(Runs, AModelThatTheDataIsTooSmallForIsRefused) {
  auto o = options("long");
  o.model.context = 100000;
  EXPECT_THAT(running(o), HasSubstr("one sequence"));
}

TEST_F(Runs, EveryVariantSurvivesACheckpoint) {
  for (const auto architecture : {Architecture::gpt2, Architecture::llama, Architecture::vit}) {
    for (const auto attention : attention_variants(architecture)) {
      const Model model(tiny_model(architecture, attention), 3);
      const fs::path dir = folder_ / "model";
      fs::create_directories(dir);
      save_model(model, dir, at::kFloat, 1);
      const Model again = load_model(dir);
      EXPECT_EQ(again.config(), model.config());
      const at::Tensor inputs = tiny_batch(model.config(), at::kFloat).inputs;
      EXPECT_TRUE(at::equal(model.logits(inputs), again.logits(inputs))) << to_string(attention);
    }
  }
}

TEST_F(Runs, ExportsInBf16WithTheTokenizer) {
  const auto o = options("run");
  ASSERT_EQ(running(o), "no error");
  export_checkpoint({o.out / "latest", folder_ / "exported", true});
  const Model model = load_model(o.out / "latest");
  const Model small = load_model(folder_ / "exported");
  const at::Tensor a = model.parameters().values(), b = small.parameters().values();
  EXPECT_TRUE(at::equal(a.to(at::kBFloat16), b.to(at::kBFloat16)));
  EXPECT_FALSE(at::equal(a, b));
  EXPECT_TRUE(fs::exists(folder_ / "exported" / "tokenizer.model"));
  EXPECT_FALSE(fs::exists(folder_ / "exported" / "optimizer.safetensors"));
  const auto config = nlohmann::json::parse(read_file(folder_ / "exported" / "config.json"));
  EXPECT_EQ(config["torch_dtype"], "bfloat16");
  EXPECT_EQ(config["massact"]["attention"], "eab");
}

// The shipped models are what `run --preset NAME` makes.
TEST(ShippedModels, AreThoseOfThePresets) {
  std::size_t compared = 0;
  for (const auto& preset : presets()) {
    const fs::path dir = testing_support::source_folder() / "models" / preset.name;
    if (!fs::exists(dir)) continue;
    ++compared;
    const auto config = nlohmann::json::parse(read_file(dir / "config.json"));
    ModelConfig model = preset.model;
    if (model.architecture == Architecture::vit) {
      model.labels = procedural_labels();
      model.vocab = std::ssize(model.labels);
    } else {
      model.vocab = preset.vocab_size;
    }
    EXPECT_EQ(config, hf_config(model, "bfloat16", 1)) << preset.name;
    std::ifstream log(dir / "metrics.jsonl");
    nlohmann::json last;
    for (std::string line; std::getline(log, line);) {
      const auto record = nlohmann::json::parse(line);
      if (record["kind"] == "train") last = record;
    }
    EXPECT_EQ(last["step"], preset.train.steps) << preset.name;
    EXPECT_DOUBLE_EQ(last["lr"], preset.train.min_lr) << preset.name;
  }
  EXPECT_GE(compared, 2u);
}

TEST(Monitor, FindsAPlantedActivationAndItsPlace) {
  for (const auto attention : {Attention::standard, Attention::eab, Attention::sink_token}) {
    Model model(tiny_model(Architecture::gpt2, attention), 3);
    // Position 2's embedding gets one huge dimension; it stays in the residual stream.
    at::Tensor positions = model.parameters().at("transformer.wpe.weight").detach();
    positions[2][5].fill_(-500.0);
    const at::Tensor tokens = at::tensor({1, 4, 9, 2, 22}, at::kLong).unsqueeze(0);
    const auto readings = monitor(model, {tokens, tokens});
    ASSERT_EQ(readings.size(), 2u);
    Trace trace;
    model.logits(tokens, &trace);
    for (std::size_t i = 0; i < 2; ++i) {
      const auto& r = readings[i];
      EXPECT_EQ(r.layer, std::int64_t(i) + 1);
      ASSERT_EQ(r.top.size(), 3u);
      EXPECT_NEAR(r.top[0].value, -500.0, 1.0);
      EXPECT_EQ(r.top[0].position, 2);
      EXPECT_EQ(r.top[0].dimension, 5);
      const at::Tensor sorted = std::get<0>(trace.residual[i].abs().flatten().sort());
      const double median = sorted[(sorted.numel() - 1) / 2].item<double>();
      EXPECT_NEAR(r.median, median, 1e-6);
      EXPECT_NEAR(r.ratio, sorted[-1].item<double>() / median, 1e-2);
      const std::int64_t sink = attention == Attention::sink_token ? 1 : 0;
      const std::int64_t slot = attention == Attention::eab ? 1 : 0;
      double first = 0;
      for (std::int64_t h = 0; h < 4; ++h) {
        for (std::int64_t t = 1; t < 5; ++t) {
          first += trace.pattern[i][0][h][t + sink][sink + slot].item<double>() / 16;
        }
      }
      EXPECT_NEAR(r.first_token_attention, first, 1e-6);
      EXPECT_EQ(r.slot_attention > 0, attention != Attention::standard);
    }
  }
}

}  // namespace
}  // namespace massact::train
