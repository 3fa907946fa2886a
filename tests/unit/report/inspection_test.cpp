// What inspect says about the golden models: their families and what is special in each.
#include "massact/report/inspection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "paths.h"

namespace massact {
namespace {

using testing::HasSubstr;

struct Case {
  const char* model;
  const char* family;
  std::vector<std::string> said;  ///< in the list of what is unusual, or of the positions
};

std::vector<Case> cases() {
  return {
      {"bloom", "bloom", {"(ALiBi)", "a norm on the embedding", "are the same matrix"}},
      {"cohere", "cohere", {"neighbouring pairs", "logits times 0.3", "parallel behind one norm"}},
      {"falcon-7b", "falcon", {"4 heads share one key/value head", "parallel behind one norm"}},
      {"falcon-40b", "falcon", {"6 heads share 3 key/value heads", "parallel, a norm each"}},
      {"falcon-alibi", "falcon", {"(ALiBi in bf16)", "biases on q, k, v, attention output"}},
      {"gemma2",
       "gemma",
       {"before and behind each branch, times 1 + weight", "scores soft-capped at 3",
        "logits soft-capped at 5", "sliding window of 4 tokens in 2 of 3 layers",
        "embedding times 4.47214", "attention scale 0.333333"}},
      {"gemma3", "gemma", {"base 1000 (local layers 100)", "norms on queries and keys, head by"}},
      {"gpt-j", "gpt-j", {"rotary on 4 of 6 dimensions, neighbouring pairs", "logits"}},
      {"gpt-neox", "gpt-neox", {"rotary on 4 of 6 dimensions", "parallel, a norm each"}},
      {"mpt", "mpt", {"clamped to [-0.9, 0.9]", "LayerNorm before each branch, no biases"}},
      {"mpt-scaled", "mpt", {"attention scale 0.7"}},
      {"olmo", "olmo", {"nothing learned", "clamped to [-1.1, 1.1]"}},
      {"olmo2", "olmo", {"RMS behind each branch", "over all heads"}},
      {"opt", "opt", {"(learned, from row 2)"}},
      {"opt-post-norm", "opt", {"behind each sum, none at the end", "token vectors of 12"}},
      {"phi3-longrope", "phi3", {"LongRoPE", "rotary on 4 of 10"}},
      {"qwen3", "llama", {"norms on queries and keys, head by head", "in 1 of 2 layers"}},
      {"stablelm-parallel", "stablelm", {"each head with its own weights"}},
      {"starcoder2", "starcoder2", {"sliding window of 5 tokens in 2 of 2 layers"}},
  };
}

void PrintTo(const Case& c, std::ostream* out) { *out << c.model; }

class InspectionTest : public testing::TestWithParam<Case> {};

TEST_P(InspectionTest, TellsWhatIsSpecial) {
  const Case& expected = GetParam();
  const Model model = open_model(testing_support::golden_folder() / "models" / expected.model);
  InspectOptions options;
  options.sequences = 2;
  options.seq_len = 16;
  const Inspection inspection = inspect(model, options);
  EXPECT_EQ(inspection.config.family, expected.family);
  const std::string text = inspection_text(inspection, false, {.width = 1000, .utf8 = true});
  for (const std::string& words : expected.said) EXPECT_THAT(text, HasSubstr(words));
  // Every tensor is either counted or told to be ignored.
  std::int64_t elements = inspection.parameters;
  for (const auto& [name, reason] : inspection.ignored) {
    EXPECT_FALSE(reason.empty());
    elements += model.weights().source().info(name).shape.element_count();
  }
  std::int64_t all = 0;
  for (const TensorInfo& tensor : inspection.tensors) all += tensor.shape.element_count();
  EXPECT_EQ(elements, all);
}

INSTANTIATE_TEST_SUITE_P(Golden, InspectionTest, testing::ValuesIn(cases()),
                         [](const auto& param_info) {
                           std::string name = param_info.param.model;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace massact
