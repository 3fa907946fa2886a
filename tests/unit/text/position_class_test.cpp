#include "massact/text/position_class.h"

#include "massact/base/error.h"
#include "text_test.h"
#include "unit/io/io_test.h"

namespace massact {
namespace {

using enum PositionClass;
using testing::ElementsAre;

std::vector<PositionClass> classes_of(const std::vector<std::string>& texts) {
  return classify(texts, PositionLists::defaults());
}

TEST(PositionClass, FollowsTheOrderOfPrecedence) {
  EXPECT_THAT(classes_of({".", " the", " cat", ".", "\n", " of", "!!", "..."}),
              ElementsAre(start, weak, other, first_delimiter, delimiter, weak, delimiter, other));
}

TEST(PositionClass, StripsSpacesAndTheirMarksOnly) {
  EXPECT_THAT(classes_of({"<s>", "\u2581the", "\u0120of", "  a ", "The", "\n\n", " ", "\t"}),
              ElementsAre(start, weak, weak, weak, other, first_delimiter, other, other));
}

TEST(PositionClass, NamesRoundTrip) {
  for (int i = 0; i < kPositionClasses; ++i) {
    const auto position_class = static_cast<PositionClass>(i);
    EXPECT_EQ(parse_position_class(position_class_name(position_class), "x"), position_class);
  }
  EXPECT_THROW(parse_position_class("first", "--class"), UsageError);
}

TEST(PositionClass, ListsCanBeOverridden) {
  const io_test::TemporaryDirectory directory;
  const auto file = directory.write("classes.json", R"({"weak": ["\u2581cat"]})");
  const PositionLists lists = PositionLists::from_file(file);
  EXPECT_THAT(classify(std::vector<std::string>{"a", " cat", " the", ","}, lists),
              ElementsAre(start, weak, other, first_delimiter));
}

TEST(PositionClass, BadListsAreRefused) {
  const io_test::TemporaryDirectory directory;
  for (const char* text : {R"({"weak": "the"})", R"({"delimiters": []})", R"([])", ""}) {
    const auto file = directory.write("classes.json", text);
    EXPECT_THROW(PositionLists::from_file(file), Error) << text;
  }
}

}  // namespace
}  // namespace massact
