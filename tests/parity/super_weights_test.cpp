// Super weights of models with a norm behind the MLP: row and value are of the down projection's
// output, not of the norm's.
#include <gtest/gtest.h>

#include <cmath>

#include "massact/study/explain.h"
#include "parity/collect.h"
#include "parity/read_weight.h"
#include "unit/io/io_test.h"

namespace massact {
namespace {

using namespace testing_support;

class SuperWeights : public testing::TestWithParam<const char*> {};

TEST_P(SuperWeights, AreThoseOfTheDownProjection) {
  const Model model = open_model(golden_folder() / "models" / GetParam());
  const ModelConfig& config = model.config();
  const io_test::TemporaryDirectory temp;
  std::string ids;  // of 16 bits
  for (int i = 0; i < 36; ++i) (ids += static_cast<char>((7 * i + 3) % 61)) += '\0';
  const auto file = temp.write("ids.bin", ids);
  const Corpus corpus = Corpus::from_tokens(file, config.vocab, {.seq_len = 12});
  NoProgress progress;
  ExplainOptions options;
  options.run.precision = ops::Precision::f32;
  const ExplainResult result = run_explain(model, corpus, options, progress);
  ASSERT_EQ(std::ssize(result.super_weights), config.layers);

  std::vector<Plan::Tokens> texts;
  for (const Sequence& sequence : corpus.sequences()) texts.push_back(sequence.tokens);
  for (const SuperWeight& weight : result.super_weights) {
    SCOPED_TRACE(weight.layer);
    const Site neurons{SiteKind::mlp_post, weight.layer - 1};
    const auto down = read_weight(model.weights(), weight.weight);
    double most = 0.0;
    std::int64_t row = -1, sequence = -1, position = -1;
    for (const auto& [key, x] :
         collect(model, texts, {neurons}, {.precision = options.run.precision})) {
      for (std::int64_t p = 0; p < std::ssize(x) / config.mlp_size; ++p) {
        for (std::int64_t d = 0; d < config.width; ++d) {
          double y = 0.0;
          for (std::int64_t n = 0; n < config.mlp_size; ++n) {
            y += static_cast<double>(x[static_cast<std::size_t>(p * config.mlp_size + n)]) *
                 static_cast<double>(down[static_cast<std::size_t>(d * config.mlp_size + n)]);
          }
          if (std::abs(y) <= std::abs(most)) continue;
          most = y;
          row = d;
          sequence = key.first;
          position = p;
        }
      }
    }
    EXPECT_EQ(weight.row, row);
    EXPECT_EQ(weight.output_sequence, sequence);
    EXPECT_EQ(weight.output_position, position);
    EXPECT_NEAR(weight.output, most, 1e-4 * std::abs(most));
    EXPECT_EQ(weight.value, down[static_cast<std::size_t>(row * config.mlp_size + weight.column)]);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, SuperWeights,
                         testing::Values("gemma2", "gemma3", "olmo2", "llama-mha"),
                         [](const auto& model) {
                           std::string name = model.param;
                           std::erase(name, '-');
                           return name;
                         });

}  // namespace
}  // namespace massact
