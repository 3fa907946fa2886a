// A complete real pretrained model: stories260K (llama2.c) continues its published text.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "parity/collect.h"

namespace massact {
namespace {

using namespace testing_support;
namespace fs = std::filesystem;

// The first fenced block of the model card that shows a greedy run (-t 0.0), without its command.
std::string published_text(const fs::path& card) {
  std::ifstream file(card);
  std::stringstream all;
  all << file.rdbuf();
  const std::string text = all.str();
  const auto command = text.find("-t 0.0");
  const auto begin = text.find('\n', command) + 1;
  return text.substr(begin, text.find("\n```", begin) - begin);
}

TEST(Stories260K, EveryPublishedTokenIsTheMostProbableOne) {
  const fs::path folder = shared_data() / "stories260K";
  SKIP_WITHOUT(folder);
  const Model model = open_model(folder / "stories260K.bin");
  const std::string text = published_text(folder / "stories260K.md");
  Plan::Tokens tokens = {*model.tokenizer().bos()};
  for (const auto id : model.tokenizer().encode(text).ids) tokens.push_back(id);
  ASSERT_GT(tokens.size(), 200u);
  for (const auto precision : {ops::Precision::f32, ops::Precision::bf16}) {
    const auto values =
        collect(model, {tokens}, {{SiteKind::logits, -1}}, {.precision = precision});
    const auto& logits = values.at({0, "hook_logits"});
    const auto vocab = static_cast<std::size_t>(model.config().vocab);
    std::size_t agreed = 0;
    for (std::size_t t = 0; t + 1 < tokens.size(); ++t) {
      const auto row = logits.begin() + static_cast<std::ptrdiff_t>(t * vocab);
      const auto best = std::max_element(row, row + static_cast<std::ptrdiff_t>(vocab)) - row;
      agreed += best == tokens[t + 1];
      if (precision == ops::Precision::f32) {
        EXPECT_EQ(best, tokens[t + 1]) << "position " << t;
      }
    }
    // bf16 may flip near ties.
    EXPECT_GE(static_cast<double>(agreed), 0.98 * static_cast<double>(tokens.size() - 1));
  }
}

}  // namespace
}  // namespace massact
