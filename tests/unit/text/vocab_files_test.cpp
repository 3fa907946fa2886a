// Tokenizers in vocab.json and merges.txt, and CLIP's.
#include "massact/base/error.h"
#include "text_test.h"
#include "unit/io/io_test.h"

namespace massact {
namespace {

using io_test::error_of;
using io_test::TemporaryDirectory;
using testing::ElementsAre;
using testing::HasSubstr;

// a 0, b 1, ab 2, Ġ 3, Ġab 4, </s> 5.
void write_small(const TemporaryDirectory& directory) {
  directory.write("vocab.json", R"({"a": 0, "b": 1, "ab": 2, "Ġ": 3, "Ġab": 4, "</s>": 5})");
  directory.write("merges.txt", "#version: 0.2\na b\r\nĠ ab\n\n");
}

// As facebook/opt-125m has them: no tokenizer.json, one token for beginning and end.
TEST(VocabFiles, OptsSpecialTokensComeFromItsConfiguration) {
  const TemporaryDirectory directory;
  write_small(directory);
  directory.write("tokenizer_config.json", R"({"tokenizer_class": "GPT2Tokenizer",
    "add_bos_token": true, "bos_token": {"content": "</s>", "normalized": true},
    "eos_token": "</s>", "unk_token": "<unk>"})");
  const auto tokenizer = open_tokenizer(directory.path());
  EXPECT_THAT(tokenizer->encode("ab ab</s>b").ids, ElementsAre(2, 4, 5, 1));
  EXPECT_EQ(tokenizer->bos(), 5);
  EXPECT_TRUE(tokenizer->adds_bos());
  EXPECT_EQ(tokenizer->decode(std::vector<std::int32_t>{2, 4, 5}), "ab ab</s>");
}

TEST(VocabFiles, AddedTokensGetTheirIds) {
  const TemporaryDirectory directory;
  write_small(directory);
  directory.write("added_tokens.json", R"({"<more>": 7})");
  directory.write("special_tokens_map.json", R"({"eos_token": "</s>"})");
  const auto tokenizer = open_tokenizer(directory / "vocab.json");
  EXPECT_EQ(tokenizer->vocab_size(), 8);
  EXPECT_THAT(tokenizer->encode("a<more></s>").ids, ElementsAre(0, 7, 5));
  EXPECT_FALSE(tokenizer->adds_bos());
}

TEST(VocabFiles, AddedTokensDecoderHasFlags) {
  const TemporaryDirectory directory;
  write_small(directory);
  directory.write("tokenizer_config.json",
                  R"({"added_tokens_decoder": {"6": {"content": "<x>", "rstrip": true}}})");
  EXPECT_THAT(open_tokenizer(directory.path())->encode("<x> a").ids, ElementsAre(6, 0));
}

TEST(VocabFiles, BadOnesNameFileAndField) {
  const TemporaryDirectory directory;
  write_small(directory);
  const auto error = [&] { return error_of([&] { open_tokenizer(directory.path()); }); };
  directory.write("tokenizer_config.json", R"({"tokenizer_class": "XlmTokenizer"})");
  EXPECT_THAT(error(), HasSubstr("tokenizer_class] expected GPT2Tokenizer"));
  directory.write("tokenizer_config.json", R"({"added_tokens_decoder": {"-1": {"content": "x"}}})");
  EXPECT_THAT(error(), HasSubstr("added_tokens_decoder.-1"));
  directory.write("tokenizer_config.json", "{}");
  directory.write("merges.txt", "a \xFF\n");
  EXPECT_THAT(error(), HasSubstr("merges.txt] expected UTF-8"));
  directory.write("merges.txt", "a c\n");
  EXPECT_THAT(error(), HasSubstr("merges[0]] expected tokens of the vocabulary"));
  std::filesystem::remove(directory / "merges.txt");
  EXPECT_THAT(error(), HasSubstr("merges.txt"));
  const auto clip = directory.write("bpe_simple_vocab_16e6.txt", "#version: 0.2\ni n\n");
  EXPECT_THAT(error_of([&] { open_tokenizer(clip); }), HasSubstr("expected at least 48894 merges"));
}

// Ids as HF's CLIPTokenizer gives them.
TEST(ClipVocabulary, WordsEndAndCaseGoes) {
  const auto file = text_test::shared("clip-tokenizer/bpe_simple_vocab_16e6.txt.gz");
  SKIP_WITHOUT(file);
  const auto tokenizer = open_tokenizer(file);
  EXPECT_EQ(tokenizer->vocab_size(), 49408);
  const auto encoding = tokenizer->encode("A photo of a   Cat<|endoftext|>");
  EXPECT_THAT(encoding.ids, ElementsAre(320, 1125, 539, 320, 2368, 49407));
  EXPECT_EQ(encoding.spans[1], (ByteSpan{2, 7}));
  EXPECT_EQ(tokenizer->decode(std::vector<std::int32_t>{320, 1125, 539, 320, 2368}),
            "a photo of a cat");
  EXPECT_EQ(tokenizer->token_text(1125), "photo ");
  EXPECT_EQ(tokenizer->bos(), 49406);
  EXPECT_EQ(tokenizer->eos(), 49407);
  EXPECT_TRUE(tokenizer->adds_bos());
}

}  // namespace
}  // namespace massact
