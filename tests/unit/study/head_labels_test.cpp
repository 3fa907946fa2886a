#include "massact/study/head_labels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "massact/base/error.h"

namespace massact {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

using Names = std::vector<std::string>;

std::vector<std::int64_t> match(const Names& names, const Names& own, std::int64_t outputs = 4) {
  return match_classes(names, own, outputs, "images").classes;
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

TEST(HeadLabels, NumberedNamesAreNumbers) {
  EXPECT_THAT(match({"LABEL_3", "label_0"}, {}), ElementsAre(3, 0));
  EXPECT_THROW(match({"LABEL_4"}, {}), Error);
}

// Nothing says which class is which: their order is taken, and that is told.
TEST(HeadLabels, WithoutNamesAsManyLabelsAsClassesAreInTheirOrder) {
  const Names labels = {"ant", "bee", "cow", "dog"};
  EXPECT_THAT(match(labels, {}), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(match(labels, {"LABEL_0", "LABEL_1", "LABEL_2", "LABEL_3"}), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(match_classes(labels, {}, 4, "images").remark, HasSubstr("the 4 labels in alph"));
  EXPECT_EQ(match_classes({"0", "1", "2", "3"}, {}, 4, "images").remark, "");
  // Names that no label is among mean another set of classes.
  EXPECT_THROW(match(labels, {"a", "b", "c", "d"}), Error);
}

TEST(HeadLabels, KnownIdsAreNotGuessed) {
  const Names own = {"n00000003 red", "n00000002 green", "n00000001 blue"};
  EXPECT_THROW(match({"n00000001", "n00000002", "n00000004"}, own, 3), Error);
  EXPECT_THROW(match({"n00000005", "n00000006", "n00000007"}, own, 3), Error);
}

TEST(HeadLabels, WordNetIds) {
  const Names ids = {"n00000001", "n00000002", "n00000005", "n00000009"};
  const Names own = {"tench, Tinca tinca", "shark", "crane", "crane, bird"};
  EXPECT_THAT(match(ids, own), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(match_classes(ids, own, 4, "images").remark, HasSubstr("the 4 WordNet ids"));
  // Names that have the ids say it better.
  const Names with_ids = {"a, n00000009", "b, n00000005", "c, n00000002", "d, n00000001"};
  EXPECT_THAT(match(ids, with_ids), ElementsAre(3, 2, 1, 0));
  EXPECT_EQ(match_classes(ids, with_ids, 4, "images").remark, "");
  EXPECT_THAT(match({"n00000005"}, with_ids), ElementsAre(1));
  // Some of the ids say nothing, and why is told.
  try {
    match({"n00000001", "n00000005"}, own);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("[images]"), HasSubstr("2 labels such as n00000001"),
                                    HasSubstr("--class-names")));
  }
}

}  // namespace
}  // namespace massact
