#include "massact/text/gguf_tokenizer.h"

#include <fstream>
#include <sstream>

#include "massact/base/error.h"
#include "text_test.h"
#include "unit/io/io_test.h"

namespace massact {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// llama.cpp's own test vectors: texts with a separator line, and a line of ids each.
class GgufVectors : public testing::TestWithParam<const char*> {};

TEST_P(GgufVectors, IdsAreLlamaCpps) {
  const auto file = text_test::shared(fmt::format("vocab-gguf/ggml-vocab-{}.gguf", GetParam()));
  SKIP_WITHOUT(file);
  const auto tokenizer = open_tokenizer(file);
  const std::string inputs = io_test::read_all(file.string() + ".inp");
  std::ifstream outputs(file.string() + ".out");
  const std::string separator = "\n__ggml_vocab_test__\n";
  std::size_t count = 0;
  for (std::size_t at = 0; at < inputs.size(); ++count) {
    const std::size_t end = inputs.find(separator, at);
    if (end == std::string::npos) break;
    std::string line;
    ASSERT_TRUE(std::getline(outputs, line));
    std::istringstream numbers(line);
    const std::vector<std::int32_t> expected{std::istream_iterator<std::int32_t>(numbers), {}};
    const std::string text = inputs.substr(at, end - at);
    EXPECT_EQ(tokenizer->encode(text).ids, expected) << testing::PrintToString(text);
    EXPECT_EQ(tokenizer->decode(expected), text);
    at = end + separator.size();
  }
  EXPECT_GT(count, 40u);
}

INSTANTIATE_TEST_SUITE_P(All, GgufVectors, testing::Values("gpt-2", "phi-3"),
                         [](const auto& test) { return test.index == 0 ? "Gpt2" : "Phi3"; });

GgufVocabulary small() {
  GgufVocabulary vocabulary;
  vocabulary.model = "llama";
  vocabulary.tokens = {"<unk>", "<s>", "</s>", "\u2581", "a", "b", "ab", "\u2581ab", "xy"};
  vocabulary.scores = {0, 0, 0, -9, -9, -9, -1, -2, -3};
  vocabulary.types = {2, 3, 3, 1, 1, 1, 1, 1, 1};
  vocabulary.bos = 1;
  vocabulary.unknown = 0;
  return vocabulary;
}

std::string error_of(const GgufVocabulary& vocabulary) {
  return io_test::error_of([&] { make_gguf_tokenizer(vocabulary, "m.gguf"); });
}

TEST(GgufTokenizer, ScoresDecide) {
  const auto tokenizer = make_gguf_tokenizer(small(), "m.gguf");
  EXPECT_THAT(tokenizer->encode("abab<s>ab").ids, ElementsAre(7, 6, 1, 7));
  EXPECT_TRUE(tokenizer->adds_bos());
  // x and y are no tokens by themselves, but both together are.
  EXPECT_THAT(tokenizer->encode("xyx").ids, ElementsAre(3, 8, 0));
  EXPECT_EQ(tokenizer->encode("xyx").spans[1], (ByteSpan{0, 2}));
}

TEST(GgufTokenizer, BadVocabularies) {
  GgufVocabulary bad = small();
  bad.model = "bert";
  EXPECT_THAT(error_of(bad), HasSubstr("m.gguf: tokenizer.ggml.model] expected"));
  bad = small();
  bad.scores.pop_back();
  EXPECT_THAT(error_of(bad), HasSubstr("tokenizer.ggml.scores] expected 9"));
  bad = small();
  bad.scores[3] = std::nanf("");
  EXPECT_THAT(error_of(bad), HasSubstr("finite"));
  bad = small();
  bad.types.pop_back();
  EXPECT_THAT(error_of(bad), HasSubstr("token_type"));
  bad = small();
  bad.eos = 9;
  EXPECT_THAT(error_of(bad), HasSubstr("eos_token_id] expected an id below 9, got 9"));
  bad = small();
  bad.tokens[4] = "\xFF";
  EXPECT_THAT(error_of(bad), HasSubstr("<0xFF> for token 4"));
  bad = small();
  bad.tokens.clear();
  EXPECT_THAT(error_of(bad), HasSubstr("tokenizer.ggml.tokens"));
  bad = small();
  bad.model = "gpt2";
  bad.pre = "novel";
  EXPECT_THAT(error_of(bad), HasSubstr("novel"));
  bad.pre = "gpt-2";
  bad.merges = {"a c"};
  EXPECT_THAT(error_of(bad), HasSubstr("merges[0]] expected tokens of the vocabulary, got \"c\""));
}

}  // namespace
}  // namespace massact
