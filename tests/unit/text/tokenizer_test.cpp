#include "massact/text/tokenizer.h"

#include <fstream>

#include "massact/base/error.h"
#include "massact/text/bpe.h"
#include "massact/text/pre_tokenizer.h"
#include "text_test.h"
#include "unit/io/io_test.h"

namespace massact {
namespace {

using testing::ElementsAre;
using text_test::golden;
using text_test::shared;
using text_test::small_byte_level;
using text_test::tokenizer_of;

TEST(ByteLevelTokenizer, MergesAndSpans) {
  const auto tokenizer = tokenizer_of(small_byte_level());
  EXPECT_EQ(tokenizer->vocab_size(), 9);
  const Encoding encoding = tokenizer->encode("ab ab<s>\n\u00E9b");
  EXPECT_THAT(encoding.ids, ElementsAre(3, 4, 6, 5, 7, 8, 1));
  EXPECT_THAT(encoding.spans,
              ElementsAre(ByteSpan{0, 2}, ByteSpan{2, 5}, ByteSpan{5, 8}, ByteSpan{8, 9},
                          ByteSpan{9, 10}, ByteSpan{10, 11}, ByteSpan{11, 12}));
  EXPECT_EQ(tokenizer->decode(encoding.ids), "ab ab<s>\n\u00E9b");
  EXPECT_EQ(tokenizer->token_text(4), " ab");
  EXPECT_EQ(tokenizer->token_text(5), "\n");
  EXPECT_EQ(tokenizer->token_text(6), "<s>");
  EXPECT_EQ(tokenizer->token_text(7), "<0xC3>");
  EXPECT_THROW(tokenizer->token_text(9), Error);
  EXPECT_THROW(tokenizer->token_text(-1), Error);
}

TEST(Tokenizer, StopsWhenItHasEnough) {
  const auto tokenizer = open_tokenizer(golden("llama3.json"));
  const std::string text = "the massive activation, of the model; 1234 tokens\n and more";
  const auto all = tokenizer->encode(text).ids;
  for (std::int64_t enough = 1; enough <= static_cast<std::int64_t>(all.size()); ++enough) {
    const auto some = tokenizer->encode(text, enough).ids;
    ASSERT_GE(static_cast<std::int64_t>(some.size()), enough);
    EXPECT_TRUE(std::equal(some.begin(), some.end(), all.begin()));
  }
}

// The same ids for a text with every kind of word many times (cached) and for its words alone.
TEST(Tokenizer, CacheChangesNothing) {
  const auto tokenizer = open_tokenizer(golden("metaspace.json"));
  std::string text;
  for (int i = 0; i < 3000; ++i)
    text += i % 7 == 0 ? "hello world " : i % 5 == 0 ? "\u4F60! " : "sink\n";
  text.pop_back();
  std::vector<std::int32_t> parts;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = at + 100;
    while (end < text.size() && text[end] != ' ') ++end;
    // A space at the start of a part is its first token's mark, as the prefix of a text is.
    const auto ids = tokenizer->encode(text.substr(at, end - at)).ids;
    parts.insert(parts.end(), ids.begin(), ids.end());
    at = end + 1;
  }
  const auto whole = tokenizer->encode(text).ids;
  EXPECT_EQ(whole.size(), parts.size());
  EXPECT_EQ(whole, parts);
}

// Long texts are worked on in blocks; every sentence must get the tokens and spans of the first.
TEST(Tokenizer, BlocksChangeNothing) {
  const auto tokenizer = open_tokenizer(golden("metaspace.json"));
  const std::string sentence = "hello  world, it was\nthat \u4F60 activation 42 which he said ";
  std::string text;
  while (text.size() < 600'000) text += sentence;
  const Encoding whole = tokenizer->encode(text);
  const Encoding two = tokenizer->encode(sentence + sentence + "hello");
  const Encoding three = tokenizer->encode(sentence + sentence + sentence + "hello");
  const std::size_t period = three.ids.size() - two.ids.size();
  const auto bytes = static_cast<std::int64_t>(sentence.size());
  ASSERT_GT(whole.ids.size(), 3 * period);
  for (std::size_t i = 2 * period; i + period < whole.ids.size(); ++i) {
    ASSERT_EQ(whole.ids[i], whole.ids[i - period]) << i;
    ASSERT_EQ(whole.spans[i].begin, whole.spans[i - period].begin + bytes) << i;
  }
  EXPECT_EQ(tokenizer->decode(whole.ids), text);
}

TEST(Tokenizer, InvalidInputBytesCountAsReplacementCharacters) {
  const auto tokenizer = open_tokenizer(golden("llama3.json"));
  const Encoding bad = tokenizer->encode("a\xFF b");
  const Encoding good = tokenizer->encode("a\uFFFD b");
  EXPECT_EQ(bad.ids, good.ids);
  EXPECT_EQ(bad.spans.back(), (ByteSpan{2, 4}));
}

TEST(HfTokenizer, BosComesFromTheTemplate) {
  const auto tokenizer = tokenizer_of(small_byte_level());
  EXPECT_EQ(tokenizer->bos(), 6);
  EXPECT_TRUE(tokenizer->adds_bos());
}

TEST(HfTokenizer, ConfigDecidesAboutBosIfItSaysSo) {
  EXPECT_FALSE(tokenizer_of(small_byte_level(), R"({"add_bos_token": false, "bos_token": "<s>"})")
                   ->adds_bos());
  EXPECT_FALSE(tokenizer_of(small_byte_level(), R"({"add_bos_token": true})")->adds_bos());
  const auto other = tokenizer_of(small_byte_level(),
                                  R"({"add_bos_token": true, "bos_token": {"content": "ab"},
                                      "eos_token": "<s>"})");
  EXPECT_EQ(other->bos(), 3);
  EXPECT_EQ(other->eos(), 6);
  EXPECT_TRUE(other->adds_bos());
}

TEST(HfTokenizer, SharedFamilies) {
  const auto gpt2_file = shared("gpt2-tokenizer/tokenizer.json");
  SKIP_WITHOUT(gpt2_file);
  const auto gpt2 = open_tokenizer(gpt2_file);
  EXPECT_EQ(gpt2->vocab_size(), 50257);
  EXPECT_FALSE(gpt2->adds_bos());
  EXPECT_EQ(gpt2->bos(), 50256);
  const auto mistral = open_tokenizer(shared("mistral-tokenizer"));
  EXPECT_EQ(mistral->vocab_size(), 32768);
  EXPECT_TRUE(mistral->adds_bos());
  EXPECT_EQ(mistral->bos(), 1);
  EXPECT_EQ(mistral->decode(mistral->encode("Hello  world \u4F60").ids), "Hello  world \u4F60");
}

// A word of a million characters that merge all over must not take quadratic time, and neither may
// a text without any place to cut.
TEST(Bpe, LongWordsMerge) {
  const auto tokenizer = tokenizer_of(small_byte_level());
  std::string text;
  for (int i = 0; i < 500'000; ++i) text += "ab";
  const Encoding encoding = tokenizer->encode(text);
  EXPECT_EQ(encoding.ids, std::vector<std::int32_t>(500'000, 3));
}

// Merges by rank against the plain definition: again and again the best pair, leftmost first.
TEST(Bpe, AgreesWithThePlainDefinition) {
  const std::vector<std::string> pieces = {"a",  "b",   "c",   "aa",  "ab",   "bc",   "abc",
                                           "ca", "aaa", "bca", "aab", "abca", "aaaa", "cc"};
  const std::vector<float> scores = {0, 0, 0, -3, -1, -2, -5, -4, -3, -6, -2, -1, -7, -8};
  const BpeModel model =
      BpeModel::from_scores(pieces, scores, std::vector<bool>(pieces.size(), true), {});
  std::uint32_t state = 1;
  for (int trial = 0; trial < 500; ++trial) {
    std::string word;
    for (int i = 0; i < 24; ++i)
      word += "abc"[(state = state * 1664525 + 1013904223) >> 24 & 1 ? (state >> 28) % 3 : 0];
    std::vector<std::string> plain;
    for (const char c : word) plain.emplace_back(1, c);
    for (bool merged = true; merged;) {
      merged = false;
      float best = -100;
      std::size_t best_at = 0;
      for (std::size_t i = 0; i + 1 < plain.size(); ++i) {
        const auto id = model.find(plain[i] + plain[i + 1]);
        if (id && scores[static_cast<std::size_t>(*id)] > best) {
          best = scores[static_cast<std::size_t>(*id)];
          best_at = i;
          merged = true;
        }
      }
      if (!merged) break;
      plain[best_at] += plain[best_at + 1];
      plain.erase(plain.begin() + static_cast<std::ptrdiff_t>(best_at) + 1);
    }
    std::vector<std::string> ours;
    BpeEncoder(model).encode(word, [&](std::span<const WordToken> tokens) {
      for (const WordToken& token : tokens)
        ours.push_back(word.substr(token.begin, token.end - token.begin));
      return true;
    });
    ASSERT_EQ(ours, plain) << word;
  }
}

TEST(SentencePiece, SpecialTokensAndTexts) {
  const auto tokenizer = open_tokenizer(golden("sp_bpe.model"));
  EXPECT_TRUE(tokenizer->adds_bos());
  EXPECT_EQ(tokenizer->bos(), 1);
  EXPECT_EQ(tokenizer->eos(), 2);
  EXPECT_EQ(tokenizer->token_text(1), "<s>");
  EXPECT_EQ(tokenizer->token_text(3 + 0x0A), "\n");
  EXPECT_EQ(tokenizer->token_text(3 + 0xE4), "<0xE4>");
  const std::string text = "  hello world \u4F60\U0001F600";
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(text).ids), text);
}

TEST(SentencePiece, BosCanBeSwitchedOff) {
  const io_test::TemporaryDirectory directory;
  std::filesystem::copy_file(golden("sp_bpe.model"), directory / "tokenizer.model");
  directory.write("tokenizer_config.json", R"({"add_bos_token": false})");
  EXPECT_FALSE(open_tokenizer(directory.path())->adds_bos());
}

// Long texts are encoded in parts; the tokens and spans must be those of the whole text.
TEST(SentencePiece, PartsChangeNothing) {
  const auto tokenizer = open_tokenizer(golden("sp_bpe.model"));
  std::string sentence = "hello world, it was that massive  activation\nwhich 42 he said. ";
  std::string text;
  while (text.size() < 60'000) text += sentence;
  const Encoding whole = tokenizer->encode(text);
  const Encoding one = tokenizer->encode(sentence + sentence);
  const Encoding first = tokenizer->encode(sentence);
  // The second of two sentences repeats: its tokens are what every further sentence adds.
  const std::size_t period = one.ids.size() - first.ids.size();
  const std::size_t start = first.ids.size();
  for (std::size_t i = start + period; i + period < whole.ids.size(); ++i) {
    ASSERT_EQ(whole.ids[i], whole.ids[i - period]) << i;
    ASSERT_EQ(whole.spans[i].begin,
              whole.spans[i - period].begin + static_cast<std::int64_t>(sentence.size()));
  }
  EXPECT_EQ(tokenizer->decode(whole.ids), text);
}

TEST(Llama2c, PublishedStoryRoundTrips) {
  const auto directory = shared("stories260K");
  SKIP_WITHOUT(directory);
  const auto tokenizer = open_tokenizer(directory);
  EXPECT_EQ(tokenizer->vocab_size(), 512);
  EXPECT_EQ(tokenizer->bos(), 1);
  EXPECT_EQ(tokenizer->eos(), 2);
  EXPECT_TRUE(tokenizer->adds_bos());
  std::ifstream file(directory / "stories260K.md");
  const std::string page((std::istreambuf_iterator<char>(file)), {});
  const auto begin = page.find("Once upon a time");
  const std::string story = page.substr(begin, page.find("\n```", begin) - begin);
  ASSERT_GT(story.size(), 500u);
  const Encoding encoding = tokenizer->encode(story);
  EXPECT_EQ(tokenizer->decode(encoding.ids), story);
  EXPECT_LT(encoding.ids.size(), story.size() / 2);
  // run.c feeds the prompt "Once upon a time" as 403 407 261 378 (llama2.c's own tests).
  EXPECT_THAT(tokenizer->encode("Once upon a time").ids, ElementsAre(403, 407, 261, 378));
}

}  // namespace
}  // namespace massact
