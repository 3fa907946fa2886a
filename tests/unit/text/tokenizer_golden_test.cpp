// 2,000 fuzzed strings per tokenizer against HF tokenizers and sentencepiece; the files come from
// tools/golden/make_tokenizers.py.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <fstream>

#include "text_test.h"

namespace massact {
namespace {

using text_test::golden;
using text_test::shared;

// As in the generator: FNV-1a over the ids' little-endian bytes, and their number.
std::string digest(std::span<const std::int32_t> ids) {
  std::uint64_t value = 0xCBF29CE484222325ull;
  for (const std::int32_t id : ids)
    for (int byte = 0; byte < 4; ++byte)
      value = (value ^ (static_cast<std::uint32_t>(id) >> (8 * byte) & 0xFF)) * 0x100000001B3ull;
  return fmt::format("{:016x} {}", value, ids.size());
}

std::vector<std::string> lines_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

// Spans must be in order, inside the text, and (unless text is normalised away) cover all of it.
void check_spans(const Encoding& encoding, std::string_view text, bool covers) {
  ASSERT_EQ(encoding.ids.size(), encoding.spans.size());
  std::int64_t reached = 0;
  for (const ByteSpan& span : encoding.spans) {
    ASSERT_LE(0, span.begin);
    ASSERT_LE(span.begin, span.end);
    ASSERT_LE(span.end, static_cast<std::int64_t>(text.size()));
    if (covers) {
      ASSERT_LE(span.begin, reached);
    }
    reached = std::max(reached, span.end);
  }
  if (covers) {
    EXPECT_EQ(reached, static_cast<std::int64_t>(text.size()));
  }
}

struct Case {
  std::string name;
  std::filesystem::path file;
  bool covers;      // every byte of the text is in some token's span
  bool round_trip;  // decoding gives the text back
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class TokenizerGolden : public testing::TestWithParam<Case> {};

TEST_P(TokenizerGolden, AgreesOnFuzzedStrings) {
  const Case& c = GetParam();
  SKIP_WITHOUT(c.file);
  const auto tokenizer = open_tokenizer(c.file);
  const auto strings = lines_of(golden("strings.jsonl"));
  const auto expected = lines_of(golden(c.name + ".expected"));
  ASSERT_EQ(strings.size(), 2000u);
  ASSERT_EQ(expected.size(), strings.size());
  int wrong = 0;
  for (std::size_t i = 0; i < strings.size() && wrong < 10; ++i) {
    const auto text = parse_json(strings[i], "strings.jsonl").get<std::string>();
    const Encoding encoding = tokenizer->encode(text);
    if (digest(encoding.ids) != expected[i]) {
      ++wrong;
      ADD_FAILURE() << c.name << " " << i << " " << strings[i].substr(0, 300) << " gave "
                    << fmt::format("{}", encoding.ids).substr(0, 500);
    }
    check_spans(encoding, text, c.covers);
    if (c.round_trip) {
      EXPECT_EQ(tokenizer->decode(encoding.ids), text) << c.name << " " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, TokenizerGolden,
    testing::Values(Case{"llama3", golden("llama3.json"), true, true},
                    Case{"qwen2", golden("qwen2.json"), true, false},
                    Case{"metaspace", golden("metaspace.json"), true, false},
                    Case{"gpt2", shared("gpt2-tokenizer/tokenizer.json"), true, true},
                    Case{"mistral", shared("mistral-tokenizer/tokenizer.json"), true, false},
                    Case{"clip", shared("clip-tokenizer/bpe_simple_vocab_16e6.txt.gz"), false,
                         false},
                    Case{"sp_bpe", golden("sp_bpe.model"), true, false},
                    Case{"sp_unigram", golden("sp_unigram.model"), false, false}),
    [](const testing::TestParamInfo<Case>& test) { return test.param.name; });

}  // namespace
}  // namespace massact
