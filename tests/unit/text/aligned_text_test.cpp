#include "massact/text/aligned_text.h"

#include "text_test.h"

namespace massact {
namespace {

TEST(AlignedText, ReplacementsMapToWhatTheyReplaced) {
  const AlignedText original("ab cd");
  AlignedWriter writer(original);
  writer.replace_until(0, "__");
  writer.keep_until(2);
  writer.replace_until(3, "---");
  const AlignedText text = writer.finish();
  EXPECT_EQ(text.view(), "__ab---cd");
  EXPECT_EQ(text.origin(0, 2), (ByteSpan{0, 0}));  // inserted
  EXPECT_EQ(text.origin(0, 3), (ByteSpan{0, 1}));
  EXPECT_EQ(text.origin(2, 4), (ByteSpan{0, 2}));
  EXPECT_EQ(text.origin(5, 6), (ByteSpan{2, 3}));  // a part of a replacement covers all of it
  EXPECT_EQ(text.origin(6, 9), (ByteSpan{2, 5}));
}

TEST(AlignedText, ReplacingTwiceMapsToTheOriginal) {
  const AlignedText original("x y z");
  AlignedWriter first(original);
  first.keep_until(1);
  first.replace_until(2, "12345");
  const AlignedText once = first.finish();  // "x12345y z"
  AlignedWriter second(once);
  second.keep_until(3);
  second.replace_until(5, "ab");
  second.keep_until(7);
  second.replace_until(8, "");
  const AlignedText twice = second.finish();
  EXPECT_EQ(twice.view(), "x12ab5yz");
  EXPECT_EQ(twice.origin(1, 3), (ByteSpan{1, 2}));
  EXPECT_EQ(twice.origin(3, 5), (ByteSpan{1, 2}));
  EXPECT_EQ(twice.origin(5, 6), (ByteSpan{1, 2}));  // the rest of the first replacement
  EXPECT_EQ(twice.origin(6, 7), (ByteSpan{2, 3}));
  EXPECT_EQ(twice.origin(7, 8), (ByteSpan{4, 5}));
}

TEST(AlignedText, SlicesKeepTheirOrigins) {
  const AlignedText original("a b c d");
  AlignedWriter writer(original);
  writer.keep_until(1);
  writer.replace_until(2, "___");
  writer.keep_until(5);
  writer.replace_until(6, "___");
  const AlignedText text = writer.finish();  // "a___b c___d"
  for (std::int64_t begin = 0; begin <= 11; ++begin)
    for (std::int64_t end = begin; end <= 11; ++end) {
      const AlignedText part = text.slice(begin, end);
      EXPECT_EQ(part.view(), text.view().substr(static_cast<std::size_t>(begin),
                                                static_cast<std::size_t>(end - begin)));
      for (std::int64_t i = begin; i < end; ++i) {
        EXPECT_EQ(part.origin(i - begin, i + 1 - begin), text.origin(i, i + 1))
            << begin << " " << i;
      }
    }
}

TEST(AlignedText, CursorAgreesWithSearch) {
  std::string source;
  for (int i = 0; i < 50; ++i) source += i % 3 == 0 ? " " : "x";
  const AlignedText original(source);
  AlignedWriter writer(original);
  for (std::int64_t i = 0; i < 50; ++i) {
    if (i % 3 != 0) continue;
    writer.keep_until(i);
    writer.replace_until(i + 1, i % 2 == 0 ? "" : "~~~");
  }
  const AlignedText text = writer.finish();
  const auto size = static_cast<std::int64_t>(text.view().size());
  OriginCursor cursor(text);
  for (std::int64_t begin = 0; begin + 2 <= size; ++begin)
    EXPECT_EQ(cursor.span(begin, begin + 2), text.origin(begin, begin + 2)) << begin;
}

TEST(AlignedText, InvalidBytesBecomeReplacementCharacters) {
  const std::string bytes = "a\xE2\x82z\xFF\xC0";  // a cut character, then two stray bytes
  const AlignedText clean = replace_invalid_utf8(AlignedText(bytes));
  EXPECT_EQ(clean.view(), "a\uFFFDz\uFFFD\uFFFD");
  EXPECT_EQ(clean.origin(1, 4), (ByteSpan{1, 3}));
  EXPECT_EQ(clean.origin(4, 5), (ByteSpan{3, 4}));
  EXPECT_EQ(clean.origin(8, 11), (ByteSpan{5, 6}));
  const std::string replacement = "\uFFFD";
  EXPECT_EQ(replace_invalid_utf8(AlignedText(replacement)).view(), replacement);
}

}  // namespace
}  // namespace massact
