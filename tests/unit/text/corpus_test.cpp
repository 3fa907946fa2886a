#include "massact/text/corpus.h"

#include "massact/base/error.h"
#include "massact/io/npy.h"
#include "text_test.h"
#include "unit/io/io_test.h"

namespace massact {
namespace {

using io_test::error_of;
using io_test::TemporaryDirectory;
using testing::ElementsAre;
using testing::HasSubstr;
using text_test::small_byte_level;
using text_test::tokenizer_of;

class CorpusTest : public testing::Test {
 protected:
  Corpus corpus_of(std::string text, CorpusOptions options) const {
    return Corpus::from_text(std::move(text), "a text", *tokenizer_, options);
  }

  TemporaryDirectory directory_;
  std::unique_ptr<Tokenizer> tokenizer_ = tokenizer_of(small_byte_level());  // adds BOS 6
};

TEST_F(CorpusTest, ChunksAreConsecutiveAndIncludeBos) {
  const Corpus corpus = corpus_of("aaaabbbba", {.seq_len = 4});
  ASSERT_EQ(corpus.sequences().size(), 2u);  // two of the eight tokens are left over
  EXPECT_TRUE(corpus.adds_bos());
  EXPECT_THAT(corpus.sequences()[0].tokens, ElementsAre(6, 0, 0, 0));
  EXPECT_THAT(corpus.sequences()[1].tokens, ElementsAre(6, 3, 1, 1));
  EXPECT_THAT(corpus.sequences()[1].spans,
              ElementsAre(ByteSpan{3, 3}, ByteSpan{3, 5}, ByteSpan{5, 6}, ByteSpan{6, 7}));
  EXPECT_TRUE(corpus.sequences()[1].has_bos);
}

TEST_F(CorpusTest, BosPolicies) {
  const Corpus without = corpus_of("aaaaaa", {.seq_len = 3, .bos = BosPolicy::never});
  EXPECT_THAT(without.sequences()[0].tokens, ElementsAre(0, 0, 0));
  EXPECT_EQ(without.sequences().size(), 2u);
  EXPECT_FALSE(without.adds_bos());
  EXPECT_FALSE(without.sequences()[0].has_bos);
  const auto no_bos = tokenizer_of(R"({"model": {"vocab": {"a": 0}, "merges": []}})");
  EXPECT_THROW(Corpus::from_text("aaa", "t", *no_bos, {.seq_len = 2, .bos = BosPolicy::always}),
               UsageError);
}

TEST_F(CorpusTest, TakesOnlyWhatIsAskedFor) {
  const Corpus corpus = corpus_of(std::string(1000, 'a'), {.seq_len = 4, .max_sequences = 2});
  EXPECT_EQ(corpus.sequences().size(), 2u);
}

TEST_F(CorpusTest, ShortTexts) {
  const Corpus corpus = corpus_of("aa", {.seq_len = 10, .keep_short = true});
  ASSERT_EQ(corpus.sequences().size(), 1u);
  EXPECT_THAT(corpus.sequences()[0].tokens, ElementsAre(6, 0, 0));
  EXPECT_THAT(error_of([&] { corpus_of("aa", {.seq_len = 10}); }),
              testing::AllOf(HasSubstr("[a text]"), HasSubstr("10"), HasSubstr("3")));
  // What is left behind full chunks is dropped, short or not.
  EXPECT_EQ(corpus_of("aaaa", {.seq_len = 4, .keep_short = true}).sequences().size(), 1u);
}

TEST_F(CorpusTest, BadTextsAndOptions) {
  EXPECT_THAT(error_of([&] { corpus_of("", {.seq_len = 4}); }), HasSubstr("empty"));
  EXPECT_THROW(corpus_of("aaa", {.seq_len = 0}), UsageError);
  EXPECT_THROW(corpus_of("aaa", {.seq_len = 1}), UsageError);  // no room behind the BOS
  EXPECT_THROW(corpus_of("aaa", {.seq_len = 2, .max_sequences = -1}), UsageError);
  const auto missing = std::vector<std::filesystem::path>{directory_ / "none.txt"};
  EXPECT_THAT(error_of([&] { Corpus::from_files(missing, *tokenizer_, {}); }),
              HasSubstr("none.txt"));
}

TEST_F(CorpusTest, FilesAreSourcesOfTheirOwn) {
  const std::vector<std::filesystem::path> paths = {directory_.write("1.txt", "aaaaa"),
                                                    directory_.write("2.txt", "bbbbb")};
  const Corpus corpus = Corpus::from_files(paths, *tokenizer_, {.seq_len = 5});
  ASSERT_EQ(corpus.sequences().size(), 2u);
  EXPECT_EQ(corpus.sequences()[1].source, 1);
  EXPECT_THAT(corpus.sequences()[1].tokens, ElementsAre(6, 1, 1, 1, 1));
  EXPECT_EQ(corpus.sources()[1].text, "bbbbb");
}

TEST_F(CorpusTest, JsonLinesAreJoinedBySpaces) {
  const std::vector<std::filesystem::path> paths = {
      directory_.write("c4.jsonl", "{\"text\": \"ab\"}\n\n{\"text\": \"ab\", \"url\": \"x\"}\n")};
  const Corpus corpus = Corpus::from_files(paths, *tokenizer_, {.seq_len = 3});
  EXPECT_EQ(corpus.sources()[0].text, "ab ab");
  EXPECT_THAT(corpus.sequences()[0].tokens, ElementsAre(6, 3, 4));
  const std::vector<std::filesystem::path> bad = {
      directory_.write("bad.jsonl", "{\"text\": \"ab\"}\n{\"test\": \"ab\"}\n")};
  EXPECT_THAT(error_of([&] { Corpus::from_files(bad, *tokenizer_, {.seq_len = 2}); }),
              testing::AllOf(HasSubstr("bad.jsonl line 2"), HasSubstr("text")));
}

TEST_F(CorpusTest, ContextIsTheTextAround) {
  const Corpus corpus = corpus_of("\u00E9\u00E9ab\u00E9\u00E9\n", {.seq_len = 11});
  const auto& tokens = corpus.sequences()[0].tokens;
  ASSERT_EQ(tokens.size(), 11u);
  ASSERT_EQ(tokens[5], 3);
  const TokenContext context = corpus.context(0, 5, 1, 100);
  EXPECT_EQ(context.before, "\u00E9");
  EXPECT_EQ(context.token, "ab");
  EXPECT_EQ(context.after, "\u00E9\u00E9\n");
  EXPECT_EQ(corpus.context(0, 0, 5, 3).token, "<s>");
  EXPECT_EQ(corpus.context(0, 0, 5, 3).after, "\u00E9\u00E9a");
  EXPECT_EQ(corpus.token_texts(0).back(), "\n");
  EXPECT_THROW(corpus.context(0, 11, 1, 1), Error);
  EXPECT_THROW(corpus.context(1, 0, 1, 1), Error);
}

TEST_F(CorpusTest, TokenFiles) {
  const std::vector<std::int64_t> ids = {0, 1, 2, 3, 4, 5};
  const auto flat = directory_ / "flat.npy";
  write_npy(flat, Shape{6}, ids);
  const Corpus plain = Corpus::from_tokens(flat, 9, {.seq_len = 3});
  ASSERT_EQ(plain.sequences().size(), 2u);
  EXPECT_THAT(plain.sequences()[1].tokens, ElementsAre(3, 4, 5));
  EXPECT_EQ(plain.token_text(1, 0), "#3");
  EXPECT_EQ(plain.context(1, 1, 2, 2).before, "#3");

  const auto rows = directory_ / "rows.npy";
  write_npy(rows, Shape{2, 3}, ids);
  const Corpus matrix =
      Corpus::from_tokens(rows, 9, {.seq_len = 3, .bos = BosPolicy::always}, tokenizer_.get());
  ASSERT_EQ(matrix.sequences().size(), 2u);
  EXPECT_THAT(matrix.sequences()[1].tokens, ElementsAre(6, 3, 4));
  EXPECT_TRUE(matrix.sequences()[1].has_bos);
  EXPECT_EQ(matrix.source_names(), rows.string() + " (2 rows)");
  EXPECT_EQ(plain.source_names(), flat.string());

  const auto raw =
      directory_.write("nano.bin", io_test::bytes_of<std::uint16_t, std::uint16_t>(7, 8));
  EXPECT_THAT(Corpus::from_tokens(raw, 9, {.seq_len = 2}).sequences()[0].tokens, ElementsAre(7, 8));
  EXPECT_THAT(
      error_of([&] { Corpus::from_tokens(raw, 8, {.seq_len = 2}); }),
      testing::AllOf(HasSubstr("nano.bin"), HasSubstr("below 8"), HasSubstr("8 at token 1")));
  EXPECT_THROW(Corpus::from_tokens(raw, 9, {.seq_len = 2, .bos = BosPolicy::always}), UsageError);
}

}  // namespace
}  // namespace massact
