#include "massact/study/head_labels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "massact/base/error.h"

namespace massact {
namespace {

using testing::ElementsAre;

using Names = std::vector<std::string>;

std::vector<std::int64_t> match(const Names& names, const Names& own, std::int64_t outputs = 4) {
  return match_classes(names, own, outputs, "images");
}

TEST(HeadLabels, ByTheModelsNames) {
  const Names own = {"tench, Tinca tinca", "great white shark", "crane", "crane, bird"};
  EXPECT_THAT(match({"Great_White Shark", "tinca tinca"}, own), ElementsAre(1, 0));
  EXPECT_THAT(match({"bird"}, own), ElementsAre(3));
  // Two classes go by "crane": it stands for neither.
  EXPECT_THROW(match({"crane"}, own), Error);
}

TEST(HeadLabels, NumbersAreClasses) {
  EXPECT_THAT(match({"3", "0"}, {}), ElementsAre(3, 0));
  EXPECT_THROW(match({"4"}, {}), Error);
  // A name comes first, even if it is a number.
  EXPECT_THAT(match({"7"}, {"9", "8", "7", "6"}), ElementsAre(2));
}

TEST(HeadLabels, AsManyFoldersAsClassesAreInTheirOrder) {
  EXPECT_THAT(match({"n01", "n02", "n05", "n09"}, {"a", "b", "c", "d"}), ElementsAre(0, 1, 2, 3));
  EXPECT_THROW(match({"n01", "n02", "n05"}, {"a", "b", "c", "d"}), Error);
}

}  // namespace
}  // namespace massact
