#include "massact/study/scan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "massact/base/error.h"
#include "paths.h"

namespace massact {
namespace {

namespace fs = std::filesystem;

fs::path golden() { return testing_support::golden_folder(); }

constexpr std::int64_t kPlantedLength = 64;

ScanResult scan_planted(const ScanOptions& options) {
  const Model model = open_model(golden() / "models" / "planted");
  const std::vector<fs::path> texts{golden() / "texts" / "harbour.txt"};
  const Corpus corpus = Corpus::from_files(texts, model.tokenizer(), {.seq_len = kPlantedLength});
  NoProgress progress;
  return run_scan(model, corpus, options, progress);
}

// What HF transformers measured on the same model and text.
nlohmann::json expected_planted() {
  std::ifstream file(golden() / "models" / "planted" / "expected.json");
  return nlohmann::json::parse(file);
}

// (token, dimension) -> count and mean at one layer, position classes added up.
struct Massive {
  std::int64_t count = 0;
  double sum = 0.0;
};
using MassiveAt = std::map<std::pair<std::string, std::int64_t>, Massive>;

MassiveAt massive_at(const FindingSet& set, int layer) {
  MassiveAt result;
  for (const Finding& finding : set.findings) {
    if (finding.label != Label::massive) continue;
    for (const FindingLayer& at : finding.layers) {
      if (at.layer != layer) continue;
      Massive& massive = result[{finding.token, finding.dimension}];
      massive.count += at.scalars;
      massive.sum += at.mean * static_cast<double>(at.scalars);
    }
  }
  return result;
}

void expect_planted(const ScanResult& result, const FindingSet& set) {
  const auto expected = expected_planted();
  for (const auto& want : expected["layers"]) {
    const int layer = want["layer"];
    const LayerRow& row = result.layers.at(static_cast<std::size_t>(layer));
    ASSERT_EQ(row.layer, layer);
    EXPECT_NEAR(row.median, want["median"].get<double>(), 1e-4 * row.median) << layer;
    EXPECT_NEAR(row.top[0], want["top1"].get<double>(), 1e-4 * row.top[0]) << layer;
    const MassiveAt got = massive_at(set, layer);
    EXPECT_EQ(got.size(), want["massive"].size()) << layer;
    for (const auto& massive : want["massive"]) {
      const auto found = got.find({massive["token"], massive["dim"]});
      ASSERT_NE(found, got.end()) << layer << massive;
      EXPECT_EQ(found->second.count, massive["count"].get<std::int64_t>());
      const double mean = found->second.sum / static_cast<double>(found->second.count);
      EXPECT_NEAR(mean, massive["mean"].get<double>(), 1e-4 * std::abs(mean));
    }
  }
}

TEST(ScanPlanted, StrictRuleFindsWhatHfMeasured) {
  const ScanResult result = scan_planted({});
  EXPECT_EQ(result.facts.sequences, expected_planted()["chunks"].get<std::int64_t>());
  EXPECT_EQ(result.facts.seq_len, kPlantedLength);
  EXPECT_TRUE(result.facts.bos);
  EXPECT_EQ(result.facts.precision, "f32");
  EXPECT_EQ(result.layers.size(), 7u);
  EXPECT_FALSE(result.automatic.has_value());
  EXPECT_FALSE(result.candidates.has_value());
  EXPECT_EQ(&result.best(), &result.findings);
  expect_planted(result, result.findings);
}

TEST(ScanPlanted, AutomaticRuleFindsTheSame) {
  ScanOptions options;
  options.rule = Rule::automatic();
  const ScanResult result = scan_planted(options);
  expect_planted(result, result.findings);
  ASSERT_EQ(result.findings.gaps.size(), 3u);
  for (const LayerGap& gap : result.findings.gaps) {
    EXPECT_GT(gap.ratio, 1000.0);
    EXPECT_EQ(gap.sequences, result.facts.sequences);
  }
}

TEST(ScanPlanted, FindingsCarryTheText) {
  const ScanResult result = scan_planted({});
  std::set<std::string> classes;
  for (const Finding& finding : result.findings.findings) {
    classes.insert(finding.position_class);
    EXPECT_EQ(finding.first_layer, 2);
    EXPECT_EQ(finding.last_layer, 4);
    EXPECT_EQ(finding.token_share, 1.0);
    EXPECT_EQ(finding.example.token, finding.token);
    EXPECT_EQ(finding.values.size(), static_cast<std::size_t>(finding.scalars));
    if (finding.position_class == "start") {
      EXPECT_EQ(finding.token, "<s>");
      EXPECT_EQ(finding.example.position, 0);
      EXPECT_EQ(finding.sequence_share, 1.0);
    } else {
      EXPECT_EQ(finding.token, ".");
      EXPECT_FALSE(finding.example.before.empty());
    }
  }
  EXPECT_THAT(classes, ::testing::IsSupersetOf({"start", "first_delimiter"}));
  const LayerRow& row = result.layers.at(3);
  EXPECT_EQ(row.strict_count, 2 * (18 + 11));
  ASSERT_FALSE(row.largest.empty());
  EXPECT_EQ(row.largest.front().token, "<s>");
  EXPECT_EQ(row.largest.front().dimension, 19);
  EXPECT_EQ(row.quantiles[1], row.median);
  EXPECT_NEAR(row.median_pooled, row.median, 0.1 * row.median);
}

TEST(ScanPlanted, WatchesTheLayersThatWereAskedFor) {
  ScanOptions options;
  options.layers = {0, 3};
  const ScanResult result = scan_planted(options);
  ASSERT_EQ(result.layers.size(), 2u);
  EXPECT_EQ(result.layers[0].layer, 0);
  EXPECT_EQ(result.layers[1].layer, 3);
  for (const Finding& finding : result.findings.findings) EXPECT_EQ(finding.peak_layer, 3);
  options.layers = {8};
  EXPECT_THROW(scan_planted(options), UsageError);
}

TEST(ScanPlanted, IsTheSameForAnyThreads) {
  ScanOptions one;
  one.run.threads = 1;
  ScanOptions four;
  four.run.threads = 4;
  const ScanResult a = scan_planted(one), b = scan_planted(four);
  ASSERT_EQ(a.layers.size(), b.layers.size());
  for (std::size_t l = 0; l < a.layers.size(); ++l) {
    EXPECT_EQ(a.layers[l].quantiles, b.layers[l].quantiles);
    EXPECT_EQ(a.layers[l].quantiles_pooled, b.layers[l].quantiles_pooled);
    EXPECT_EQ(a.layers[l].kurtosis, b.layers[l].kurtosis);
    EXPECT_EQ(a.layers[l].mean_abs, b.layers[l].mean_abs);
  }
  ASSERT_EQ(a.findings.findings.size(), b.findings.findings.size());
  for (std::size_t i = 0; i < a.findings.findings.size(); ++i) {
    EXPECT_EQ(a.findings.findings[i].mean, b.findings.findings[i].mean);
    EXPECT_EQ(a.findings.findings[i].sigma, b.findings.findings[i].sigma);
  }
}

// A nanoGPT token file of random ids.
fs::path random_tokens(const std::string& name, std::int64_t count, std::int64_t vocab) {
  const fs::path path = fs::path(::testing::TempDir()) / (name + "-tokens.bin");
  std::ofstream file(path, std::ios::binary);
  std::uint32_t state = 12345;
  for (std::int64_t i = 0; i < count; ++i) {
    state = state * 1664525u + 1013904223u;
    const auto id = static_cast<std::uint16_t>((state >> 8) % static_cast<std::uint32_t>(vocab));
    file.write(reinterpret_cast<const char*>(&id), sizeof id);
  }
  return path;
}

class ScanRandomModel : public ::testing::TestWithParam<std::string> {};

TEST_P(ScanRandomModel, FindsNothingMassiveByAnyRule) {
  const Model model = open_model(golden() / "models" / GetParam());
  const ModelConfig& config = model.config();
  const std::int64_t length = std::min<std::int64_t>(48, config.max_positions);
  const fs::path tokens = random_tokens(GetParam(), 6 * length, config.vocab);
  const Corpus corpus = Corpus::from_tokens(tokens, config.vocab, {.seq_len = length});
  NoProgress progress;
  const ScanResult result = run_scan(model, corpus, {}, progress);
  EXPECT_TRUE(result.findings.findings.empty());
  ASSERT_TRUE(result.automatic.has_value());
  for (const Finding& finding : result.automatic->findings) {
    ADD_FAILURE() << "dimension " << finding.dimension << " at layer " << finding.peak_layer
                  << ", ratio " << finding.ratio;
  }
  ASSERT_TRUE(result.candidates.has_value());
  EXPECT_FALSE(result.best().has_massive());
  EXPECT_FALSE(result.candidates->findings.empty());
}

INSTANTIATE_TEST_SUITE_P(Golden, ScanRandomModel,
                         ::testing::Values("gpt2", "gpt2-inverse-layer", "llama-mha",
                                           "llama-gqa-tied", "llama-bias", "mistral-window",
                                           "qwen2-window"),
                         [](const auto& param) {
                           std::string name = param.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace massact
