// The table of families in the documentation is the one that the code prints.
#include "massact/report/families_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "massact/io/json.h"
#include "massact/model/family.h"
#include "paths.h"

namespace massact {
namespace {

using testing::HasSubstr;

TEST(FamiliesTable, TheDocumentationHoldsIt) {
  const std::string document =
      read_text_file(testing_support::source_folder() / "docs/families.md", 1 << 20);
  EXPECT_THAT(document,
              HasSubstr("<!-- families -->\n" + families_markdown() + "<!-- /families -->\n"))
      << "docs/families.md: put the output of `massact families --markdown` between its marks";
}

TEST(FamiliesTable, EveryFamilyAndTypeIsNamedOnNarrowAndWideTerminals) {
  for (const int width : {40, 120}) {
    const std::string text = families_text({.width = width});
    for (const Family& family : families()) {
      EXPECT_THAT(text, HasSubstr(std::string(family.name)));
    }
    EXPECT_THAT(text, HasSubstr("falcon-rw-1b"));
  }
  // As it goes into documents and pipes of any locale.
  const std::string table = families_markdown();
  EXPECT_TRUE(std::all_of(table.begin(), table.end(), [](char c) { return (c & 0x80) == 0; }));
}

TEST(FamiliesTable, JsonHasAModelOfEveryFamily) {
  const auto json = families_to_json();
  EXPECT_EQ(json["schema"], "massact.families");
  ASSERT_EQ(json["families"].size(), families().size());
  for (const auto& family : json["families"]) EXPECT_FALSE(family["models"].empty()) << family;
}

}  // namespace
}  // namespace massact
