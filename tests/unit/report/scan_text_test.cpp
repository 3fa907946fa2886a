#include "massact/report/scan_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "unit/report/sample_scan.h"

namespace massact {
namespace {

using ::massact::testing::sample_empty_scan;
using ::massact::testing::sample_scan;
using ::testing::HasSubstr;
using ::testing::Not;

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

struct StyleCase {
  int width;
  bool utf8;
};

class ScanTextStyles : public ::testing::TestWithParam<StyleCase> {
 protected:
  TextStyle style() const { return {.width = GetParam().width, .utf8 = GetParam().utf8}; }
};

TEST_P(ScanTextStyles, FitsTheWidth) {
  for (const ScanResult& result : {sample_scan(), sample_empty_scan()}) {
    for (const std::string& line : lines_of(scan_text(result, style()))) {
      EXPECT_LE(display_width(line), style().width) << line;
    }
  }
}

TEST_P(ScanTextStyles, IsAsciiUnlessUtf8IsAskedFor) {
  const std::string text = scan_text(sample_scan(), style());
  const bool ascii = std::all_of(text.begin(), text.end(),
                                 [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  EXPECT_EQ(ascii, !style().utf8);
}

TEST_P(ScanTextStyles, ShowsEveryLayer) {
  const std::string text = scan_text(sample_scan(), style());
  EXPECT_THAT(text, HasSubstr("2,500"));
  EXPECT_THAT(text, HasSubstr("\n    3"));
}

INSTANTIATE_TEST_SUITE_P(Widths, ScanTextStyles,
                         ::testing::Values(StyleCase{40, false}, StyleCase{40, true},
                                           StyleCase{60, true}, StyleCase{80, false},
                                           StyleCase{120, true}, StyleCase{200, true}));

constexpr TextStyle kWide{.width = 200, .utf8 = true};

TEST(ScanText, ShowsFindingsWithTokenAndSurroundings) {
  const std::string text = scan_text(sample_scan(), kWide);
  EXPECT_THAT(text, HasSubstr("Massive activations by the strict rule"));
  EXPECT_THAT(text, HasSubstr("dimension 447, first_delimiter token \",\\n\"é\", layers 2 to 3"));
  EXPECT_THAT(text, HasSubstr("mean -2,480"));
  EXPECT_THAT(text, HasSubstr("there was a naïve[,\\n\"é] who said"));
  EXPECT_THAT(text, HasSubstr("warning: something to know"));
  EXPECT_THAT(text, HasSubstr("dimensions 447*, 12; 1 of them also holds"));
}

TEST(ScanText, OneLayerIsSingular) {
  ScanResult one = sample_scan();
  one.facts.layers = 1;
  EXPECT_THAT(scan_text(one, kWide), HasSubstr(", 1 layer, width "));
  one.facts.layers = 2;
  EXPECT_THAT(scan_text(one, kWide), HasSubstr(", 2 layers, width "));
}

TEST(ScanText, SaysTruthfullyThatNothingIsMassive) {
  const std::string text = scan_text(sample_empty_scan(), kWide);
  EXPECT_THAT(text, HasSubstr("No massive activation was found by the strict rule"));
  EXPECT_THAT(text, HasSubstr("The largest value is -12 at layer 1 (dimension 447"));
  EXPECT_THAT(text, HasSubstr("The auto rule finds none either."));
  EXPECT_THAT(text, HasSubstr("The largest candidates (not massive):"));
  EXPECT_THAT(text, Not(HasSubstr("Massive activations by")));
}

TEST(ScanText, LongerSolidBarMeansLargerRatio) {
  const std::vector<std::string> lines = lines_of(scan_text(sample_scan(), {.width = 100}));
  const auto solid = [&](std::string_view prefix) {
    const auto line = std::find_if(lines.begin(), lines.end(), [&](const std::string& text) {
      return text.starts_with(prefix);
    });
    return line == lines.end() ? -1 : std::count(line->begin(), line->end(), '#');
  };
  EXPECT_GT(solid("    3"), solid("    1"));
  EXPECT_GT(solid("    1"), 0);
}

TEST(ScanText, ColourOnlyWhereAskedFor) {
  EXPECT_THAT(scan_text(sample_scan(), kWide), Not(HasSubstr("\033[")));
  TextStyle colour = kWide;
  colour.colour = true;
  EXPECT_THAT(scan_text(sample_scan(), colour), HasSubstr("\033[1;31m    2"));
}

}  // namespace
}  // namespace massact
