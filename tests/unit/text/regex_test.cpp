#include "massact/text/regex.h"

#include "massact/base/error.h"
#include "massact/text/pre_tokenizer.h"
#include "massact/text/utf8.h"
#include "text_test.h"
#include "unit/io/io_test.h"

namespace massact {
namespace {

bool matches(RegexMatcher& matcher, std::string_view text) {
  const auto match = matcher.find(text, 0);
  return match && match->begin == 0 && match->end == text.size();
}

bool matches(const Regex& regex, std::string_view text) {
  RegexMatcher matcher(regex);
  return matches(matcher, text);
}

TEST(Regex, SpaceIsUnicodeWhiteSpace) {
  const Regex space("\\s", "test");
  const Regex in_class("[^\\s]", "test");
  const Regex not_space("\\S", "test");
  RegexMatcher is_space(space), is_in_class(in_class), is_not_space(not_space);
  for (char32_t c = 0; c < 0x30000; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    std::string text;
    append_utf8(text, c);
    ASSERT_EQ(matches(is_space, text), is_white_space(c)) << static_cast<std::uint32_t>(c);
    ASSERT_EQ(matches(is_in_class, text), !is_white_space(c)) << static_cast<std::uint32_t>(c);
    ASSERT_EQ(matches(is_not_space, text), !is_white_space(c)) << static_cast<std::uint32_t>(c);
  }
}

TEST(Regex, CaseIsIgnoredAsInUnicode) {
  const Regex contraction("(?i:'s|'ll)", "test");
  EXPECT_TRUE(matches(contraction, "'S"));
  EXPECT_TRUE(matches(contraction, "'lL"));
  EXPECT_TRUE(matches(contraction, "'\u017F"));  // long s
}

TEST(Regex, LooksBehindTheStart) {
  const Regex regex("(?<=a)b", "test");
  EXPECT_TRUE(RegexMatcher(regex).find("ab", 1).has_value());
}

TEST(Regex, LiteralTakesEveryCharacterAsItself) {
  const std::string text = "a.b*c[\\]^$|()?+{} \n\u2581<|x|>";
  EXPECT_TRUE(matches(Regex::literal(text), text));
}

TEST(Regex, LongRunsMatch) {
  const std::string spaces(500'000, ' ');
  const Regex pattern(kGpt2Pattern, "test");
  const auto match = RegexMatcher(pattern).find(spaces, 0);
  ASSERT_TRUE(match.has_value());
  EXPECT_EQ(match->end, spaces.size());
}

// What Oniguruma reads differently: each pattern, texts it matches whole, and others.
TEST(Regex, MeansWhatOnigurumaMeans) {
  struct Case {
    const char* pattern;
    std::vector<std::string_view> matched, unmatched;
  };
  const std::vector<Case> cases = {
      {"[a[bc]d]+", {"abcd"}, {"a["}},
      {"[^a[bc]]", {"d", "["}, {"a", "b"}},
      {"[a[^b]]", {"a", "c"}, {"b"}},
      {"[^a[^b]]", {"b"}, {"a", "c"}},
      {"[a-z&&[^aeiou]]+", {"xyz"}, {"a", "xa"}},
      {"[^(\\s|[.,!])]+", {"ab"}, {"a b", "a|b", "(", "."}},
      {"(?m:.)", {"\n", "a"}, {}},
      {".", {"\r"}, {"\n"}},
      {"a{,2}b", {"b", "aab"}, {"aaab"}},
      {"a{b", {"a{b"}, {}},
      {"\\h+", {"0aF"}, {"g", " "}},
      {"\\u00E9", {"\u00E9"}, {"e"}},
      {"\\w+", {"a\u0300", "\u00B2", "_\u2160"}, {"\u200D", "\u2080"}},
      {"a\\b.*", {"a-"}, {"a\u0300"}},
      {"[[:punct:]]", {"$", "\u20AC"}, {"a"}},
      {"[[:^alpha:]]", {"1"}, {"a"}},
      {"\\p{Letter}\\p{^Alpha}", {"a1"}, {"aa"}},
      {"\\p{Decimal_Number}", {"\u0669"}, {"\u00B2"}},
      {"[]a]+", {"]a"}, {"b"}},
      {"[\\W]", {"-"}, {"a"}},
  };
  for (const Case& c : cases) {
    const Regex regex(c.pattern, "test");
    for (const auto text : c.matched) EXPECT_TRUE(matches(regex, text)) << c.pattern << " " << text;
    for (const auto text : c.unmatched)
      EXPECT_FALSE(matches(regex, text)) << c.pattern << " " << text;
  }
}

TEST(Regex, ExponentialSearchesAreGivenUp) {
  const Regex regex("(a+)+$", "test");
  const std::string text = std::string(100, 'a') + "b";
  const std::string error = io_test::error_of([&] { RegexMatcher(regex).find(text, 0); });
  EXPECT_THAT(error, testing::HasSubstr("(a+)+$"));
  EXPECT_THAT(error, testing::HasSubstr("exponential"));
}

TEST(Regex, BadPatternsNameTheirPlace) {
  for (const char* pattern : {"(", "[a", "a{2,1}", "(?<n", "[[a]b", "[a&&", "\\p{Nonsense}",
                              "(*COMMIT)a", "\\Qa\\E", "a{2}+", "\\p", "\\", "[[:nonsense:]]"}) {
    try {
      const Regex regex(pattern, "pre_tokenizer.pattern");
      ADD_FAILURE() << pattern;
    } catch (const Error& error) {
      EXPECT_EQ(error.where(), "pre_tokenizer.pattern");
      EXPECT_THAT(error.what(), testing::HasSubstr(fmt::format("{:?}", pattern)));
    }
  }
}

std::vector<std::string> split(SplitBehavior behavior, bool invert, std::string_view text) {
  std::vector<PreTokenizer::Stage> stages(1);
  stages[0].splits.push_back({Regex("-", "test"), behavior, invert});
  std::vector<std::string> words;
  PreTokenizer(std::move(stages))
      .split(AlignedText(text), [&](std::string_view word, std::int64_t, OriginCursor&) {
        words.emplace_back(word);
        return true;
      });
  return words;
}

// The examples of HF tokenizers' documentation of SplitDelimiterBehavior, and inverted ones.
TEST(PreTokenizer, SplitBehaviors) {
  using testing::ElementsAre;
  const std::string_view text = "the-final--countdown";
  EXPECT_THAT(split(SplitBehavior::removed, false, text), ElementsAre("the", "final", "countdown"));
  EXPECT_THAT(split(SplitBehavior::isolated, false, text),
              ElementsAre("the", "-", "final", "-", "-", "countdown"));
  EXPECT_THAT(split(SplitBehavior::merged_with_previous, false, text),
              ElementsAre("the-", "final-", "-", "countdown"));
  EXPECT_THAT(split(SplitBehavior::merged_with_next, false, text),
              ElementsAre("the", "-final", "-", "-countdown"));
  EXPECT_THAT(split(SplitBehavior::contiguous, false, text),
              ElementsAre("the", "-", "final", "--", "countdown"));
  EXPECT_THAT(split(SplitBehavior::removed, true, text), ElementsAre("-", "-", "-"));
  EXPECT_THAT(split(SplitBehavior::removed, false, "--"), ElementsAre());
  EXPECT_THAT(split(SplitBehavior::merged_with_previous, false, "-a-"), ElementsAre("-", "a-"));
}

}  // namespace
}  // namespace massact
