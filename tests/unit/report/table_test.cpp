#include "massact/report/table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

namespace massact {
namespace {

using testing::HasSubstr;

const TableRows kRows = {{"layer", "share", "entropy"}, {"1", "7.0 %", "2.882"}, {"2", "", "3"}};

TEST(Table, OneThatFitsStaysInOnePiece) {
  EXPECT_EQ(table_width(kRows), 21);
  EXPECT_EQ(table_text(kRows, {.width = 21}),
            "layer  share  entropy\n"
            "1      7.0 %    2.882\n"
            "2                   3\n");
}

TEST(Table, AWiderOneIsBrokenIntoPiecesThatKeepTheFirstColumn) {
  EXPECT_EQ(table_text(kRows, {.width = 20}),
            "layer  share\n"
            "1      7.0 %\n"
            "2\n"
            "\n"
            "layer  entropy\n"
            "1        2.882\n"
            "2            3\n");
}

TEST(Table, NoCellIsTooWide) {
  const TableRows rows = {{std::string(50, 'a'), std::string(60, 'b'), "c"}, {"x", "y"}, {}};
  for (const int width : {20, 40, 70}) {
    std::istringstream lines(table_text(rows, {.width = width}));
    for (std::string line; std::getline(lines, line);) EXPECT_LE(display_width(line), width);
  }
  EXPECT_THAT(table_text(rows, {.width = 120}), HasSubstr(std::string(60, 'b') + "  c\n"));
}

TEST(Table, NamesAreCutBeforeNumbers) {
  const TableRows rows = {{"variant", "change"},
                          {"first_delimiter 19 alone", "-0.00018 ± 0.00025 %"},
                          {"first_delimiter 5 alone", "× 3.908 ± 0.70"}};
  const std::string text = table_text(rows, {.width = 40, .utf8 = true});
  EXPECT_THAT(text, HasSubstr("  -0.00018 ± 0.00025 %\n"));
  EXPECT_THAT(text, HasSubstr("first_delimiter 1…  "));
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(display_width(line), 40);
}

}  // namespace
}  // namespace massact
