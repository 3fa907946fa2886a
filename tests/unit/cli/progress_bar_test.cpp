#include "massact/cli/progress_bar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace massact {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

ProgressState half_way() { return {"scan", "tokens", "layer 3/6", 500, 1000, 2.0}; }

TEST(ProgressLine, ShowsShareRateAndTimeLeft) {
  const std::string line = progress_line(half_way(), {.width = 100});
  EXPECT_THAT(line, HasSubstr("scan"));
  EXPECT_THAT(line, HasSubstr("50 %"));
  EXPECT_THAT(line, HasSubstr("250 tokens/s"));
  EXPECT_THAT(line, HasSubstr("2.0s left"));
  EXPECT_THAT(line, HasSubstr("layer 3/6"));
  EXPECT_THAT(line, HasSubstr("####"));
}

TEST(ProgressLine, NeverFillsTheLastColumn) {
  for (int width = 1; width < 120; ++width) {
    EXPECT_LT(display_width(progress_line(half_way(), {.width = width, .utf8 = true})), width);
  }
}

TEST(ProgressLine, UnknownTotalCounts) {
  ProgressState state = half_way();
  state.total = 0;
  const std::string line = progress_line(state, {.width = 100});
  EXPECT_THAT(line, HasSubstr("500 tokens"));
  EXPECT_THAT(line, Not(HasSubstr("%")));
  EXPECT_THAT(line, Not(HasSubstr("left")));
}

}  // namespace
}  // namespace massact
