#include "massact/report/text_style.h"

#include <gtest/gtest.h>

#include "massact/report/numbers.h"

namespace massact {
namespace {

const TextStyle kAscii{.width = 40, .utf8 = false, .colour = false};
const TextStyle kUtf8{.width = 40, .utf8 = true, .colour = false};

TEST(TextStyle, WidthCountsColumnsNotBytes) {
  EXPECT_EQ(display_width("abc"), 3);
  EXPECT_EQ(display_width("é"), 1);
  EXPECT_EQ(display_width("e\u0301"), 1);
  EXPECT_EQ(display_width("日本"), 4);
  EXPECT_EQ(display_width("\xff\xfe"), 2);
}

TEST(TextStyle, ShortensToTheColumn) {
  EXPECT_EQ(shorten("abcdef", 6, kAscii), "abcdef");
  EXPECT_EQ(shorten("abcdef", 5, kAscii), "ab...");
  EXPECT_EQ(shorten("abcdef", 5, kUtf8), "abcd…");
  EXPECT_LE(display_width(shorten("日本語日本語", 6, kUtf8)), 6);
  EXPECT_EQ(shorten("abcdef", 2, kAscii), "..");
}

TEST(TextStyle, Pads) {
  EXPECT_EQ(pad_right("é", 3), "é  ");
  EXPECT_EQ(pad_left("é", 3), "  é");
  EXPECT_EQ(pad_left("abcd", 3), "abcd");
}

TEST(TextStyle, BarsGrowWithTheFraction) {
  EXPECT_EQ(bar(0.5, 4, kAscii), "##");
  EXPECT_EQ(bar(2.0, 4, kAscii), "####");
  EXPECT_EQ(bar(0.5, 4, kUtf8), "██");
  EXPECT_EQ(bar(0.125, 1, kUtf8), "▏");
  EXPECT_EQ(bar(-1, 4, kUtf8), "");
}

TEST(TextStyle, PrintableShowsWhatWouldMoveTheCursor) {
  EXPECT_EQ(printable("a\nb\t", kAscii), "a\\nb\\t");
  EXPECT_EQ(printable("\x1b[31m", kUtf8), "\\x1B[31m");
  EXPECT_EQ(printable("é", kUtf8), "é");
  EXPECT_EQ(printable("é", kAscii), "\\u{E9}");
  EXPECT_EQ(printable("\xc3", kUtf8), "\\xC3");
  EXPECT_EQ(printable("\u202e", kUtf8), "\\u{202E}");
}

TEST(TextStyle, WrapsAtSpaces) {
  const TextStyle narrow{.width = 9, .utf8 = false, .colour = false};
  EXPECT_EQ(wrap("one two three", narrow), "one two\nthree");
  EXPECT_EQ(wrap("a verylongpath/file b", narrow), "a\nverylongp\nath/file\nb");
}

TEST(TextStyle, NumbersStayWithTheirUnitErrorAndFactor) {
  const TextStyle narrow{.width = 12, .utf8 = true};
  EXPECT_EQ(wrap("changed by +1.7 %; more", narrow), "changed by\n+1.7 %; more");
  EXPECT_EQ(wrap("a value of 36 ± 4.4", narrow), "a value of\n36 ± 4.4");
  EXPECT_EQ(wrap("it held 12.5 GiB", narrow), "it held\n12.5 GiB");
  EXPECT_EQ(wrap("one two % six", {.width = 7}), "one two\n% six") << "no number before it";
}

TEST(Numbers, ErrorsHaveTwoDigitsAndNoExponentWhereTheValueHasNone) {
  EXPECT_EQ(error_number(157.3), "160");
  EXPECT_EQ(error_number(99.7), "100");
  EXPECT_EQ(error_number(12'345), "12,000");
  EXPECT_EQ(error_number(4.42), "4.4");
  EXPECT_EQ(error_number(42.4), "42");
  EXPECT_EQ(error_number(0.000251), "0.00025");
  EXPECT_EQ(error_number(0), "0");
}

}  // namespace
}  // namespace massact
