// A real trained nanoGPT-style checkpoint on the text it was trained on: its authors report a loss
// of 0.145 nats, which wrong weights, activations or names would not reach.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "massact/io/torch_checkpoint.h"
#include "parity/collect.h"

namespace massact {
namespace {

using namespace testing_support;

TEST(TorchCheckpoint, ATrainedModelKnowsItsText) {
  const auto folder = shared_data() / "gpt2-style-torch-checkpoint";
  SKIP_WITHOUT(folder / "ckpt.pt");
  const Model model = open_model(folder / "ckpt.pt");
  const auto characters = open_torch_checkpoint(folder / "ckpt.pt").values["stoi"];
  std::ifstream file(folder / "corpus.txt");
  std::vector<Plan::Tokens> texts;
  for (std::string window(128, '\0'); file.read(window.data(), 128);) {
    Plan::Tokens& tokens = texts.emplace_back();
    for (const char c : window) tokens.push_back(characters.at(std::string(1, c)).get<int>());
  }
  ASSERT_EQ(texts.size(), 32u);
  const auto sites = collect(model, texts, {{SiteKind::logits, -1}});
  const std::int64_t vocab = model.config().vocab;
  double loss = 0;
  int count = 0;
  for (std::size_t s = 0; s < texts.size(); ++s) {
    const auto& logits = sites.at({static_cast<std::int64_t>(s), "hook_logits"});
    for (std::size_t t = 0; t + 1 < texts[s].size(); ++t, ++count) {
      const float* row = logits.data() + static_cast<std::int64_t>(t) * vocab;
      double sum = 0;
      for (std::int64_t v = 0; v < vocab; ++v) sum += std::exp(static_cast<double>(row[v]));
      loss += std::log(sum) - static_cast<double>(row[texts[s][t + 1]]);
    }
  }
  EXPECT_LT(loss / count, 0.2);
  EXPECT_GT(loss / count, 0.05);
}

}  // namespace
}  // namespace massact
