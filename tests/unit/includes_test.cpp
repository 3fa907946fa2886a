// The direction of dependency between the folders of src/massact: what each may include.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "paths.h"

namespace massact {
namespace {

namespace fs = std::filesystem;

struct Include {
  std::string file;  // relative to src/
  std::string from;  // the room of `file`
  std::string to;    // the room of the included header
  std::string line;
};

// Rooms from the bottom up; those of one row do not see each other, but for kSideways.
const std::vector<std::vector<std::string>> kRows = {
    {"base"},  {"tensor"}, {"io", "text", "image", "ops"},
    {"model"}, {"run"},    {"observe", "edit"},
    {"eval"},  {"study"},  {"report"},
    {"cli"}};
// docs/adr/0002-text-reads-files-through-io.md
const std::set<std::pair<std::string, std::string>> kSideways = {{"text", "io"}, {"image", "io"}};

int row_of(const std::string& room) {
  for (std::size_t row = 0; row < kRows.size(); ++row) {
    if (std::count(kRows[row].begin(), kRows[row].end(), room) > 0) return static_cast<int>(row);
  }
  return -1;
}

bool may_include(const std::string& from, const std::string& to) {
  return from == to || row_of(to) < row_of(from) || kSideways.contains({from, to});
}

std::vector<Include> all_includes() {
  const fs::path src = testing_support::source_folder() / "src";
  static const std::regex kInclude(R"re(^\s*#\s*include\s*"massact/([^/"]+)/[^"]*".*)re");
  std::vector<Include> found;
  for (const auto& entry : fs::recursive_directory_iterator(src / "massact")) {
    const fs::path file = entry.path().lexically_relative(src);
    const std::string extension = file.extension().string();
    if (extension != ".h" && extension != ".cpp") continue;
    const std::string room = std::next(file.begin())->string();
    if (room == file.filename()) continue;  // massact/massact.h names them all
    std::ifstream in(entry.path());
    for (std::string line; std::getline(in, line);) {
      std::smatch match;
      if (std::regex_match(line, match, kInclude)) {
        found.push_back({file.string(), room, match[1], line});
      }
    }
  }
  return found;
}

// What a room's CMakeLists.txt says it is linked with.
std::set<std::string> linked_rooms(const std::string& room) {
  std::ifstream file(testing_support::source_folder() / "src" / "massact" / room /
                     "CMakeLists.txt");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  static const std::regex kDeps(R"re(\bDEPS((?: [a-z]+)+))re");
  std::smatch deps;
  if (!std::regex_search(text, deps, kDeps)) return {};
  std::istringstream words(deps[1]);
  return {std::istream_iterator<std::string>(words), {}};
}

TEST(Includes, EveryRoomIsInTheTable) {
  for (const auto& entry :
       fs::directory_iterator(testing_support::source_folder() / "src" / "massact")) {
    if (!entry.is_directory()) continue;
    EXPECT_GE(row_of(entry.path().filename().string()), 0) << entry.path().filename();
  }
}

TEST(Includes, NoArrowBack) {
  const std::vector<Include> includes = all_includes();
  ASSERT_GT(includes.size(), 10u) << "found almost no #include \"massact/…\": wrong folder?";
  for (const Include& include : includes) {
    EXPECT_TRUE(may_include(include.from, include.to))
        << include.file << ": " << include.line << "\n  " << include.from << "/ may not depend on "
        << include.to << "/";
  }
}

// A room that a neighbour links happens to link too may be gone tomorrow. The program is no room of
// the library: cli/ links what report/ does.
TEST(Includes, EveryRoomIsLinkedWithWhatItIncludes) {
  EXPECT_THAT(linked_rooms("image"), testing::ElementsAre("base", "io"));
  std::map<std::string, std::set<std::string>> linked;
  for (const Include& include : all_includes()) {
    if (include.from == include.to || include.from == "cli") continue;
    if (!linked.contains(include.from)) linked[include.from] = linked_rooms(include.from);
    EXPECT_TRUE(linked[include.from].contains(include.to))
        << include.file << ": " << include.line << "\n  src/massact/" << include.from
        << "/CMakeLists.txt: DEPS misses " << include.to;
  }
}

TEST(Includes, TheRuleItselfForbidsArrowsBack) {
  EXPECT_TRUE(may_include("cli", "base"));
  EXPECT_TRUE(may_include("text", "io"));
  EXPECT_TRUE(may_include("image", "io"));
  EXPECT_FALSE(may_include("io", "text"));
  EXPECT_FALSE(may_include("image", "ops"));
  EXPECT_FALSE(may_include("base", "tensor"));
  EXPECT_FALSE(may_include("observe", "edit"));
  EXPECT_FALSE(may_include("run", "observe"));
  EXPECT_FALSE(may_include("model", "run"));
}

}  // namespace
}  // namespace massact
