#include "massact/cli/parse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "massact/base/error.h"

namespace massact {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(ParseLayers, ReadsListsAndRanges) {
  EXPECT_THAT(parse_layers("all", 12, "--layers"), IsEmpty());
  EXPECT_THAT(parse_layers("3", 12, "--layers"), ElementsAre(3));
  EXPECT_THAT(parse_layers("4-6,0,5", 12, "--layers"), ElementsAre(0, 4, 5, 6));
  EXPECT_THAT(parse_layers("12", 12, "--layers"), ElementsAre(12));
}

TEST(ParseLayers, RefusesEverythingElse) {
  for (const char* text :
       {"", "x", "1,", ",1", "1-", "-1", "6-4", "13", "1-13", "1 2", "1.5", "99999999999"}) {
    EXPECT_THROW(parse_layers(text, 12, "--layers"), UsageError) << text;
  }
}

}  // namespace
}  // namespace massact
