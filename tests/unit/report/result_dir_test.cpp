#include "massact/report/result_dir.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "massact/base/error.h"

namespace massact {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class ResultDirTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    dir_ = fs::temp_directory_path() / "massact-result-dir-test" / info->name();
    fs::remove_all(dir_);
    fs::create_directories(dir_.parent_path());
  }
  void TearDown() override { fs::remove_all(dir_); }

  static std::string text_of(const fs::path& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static void put(const fs::path& file, std::string_view text) {
    fs::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << text;
  }
  std::string refusal(bool force = false) const {
    try {
      const ResultDir refused(dir_, "aaaa", force);
      return "";
    } catch (const Error& error) {
      return error.what();
    }
  }

  fs::path dir_;
};

constexpr const char* kOther =
    R"({"schema": "massact.scan", "model": {"path": "models/other", "hash": "bbbb"}})";

// Runs in a process of its own: root may write everywhere, so that it has to become somebody else.
// _exit: sanitizers cannot look for leaks in a process that gave up its rights.
TEST_F(ResultDirTest, SaysWhyADirectoryCannotBeWrittenTo) {
  fs::create_directories(dir_ / "locked");
  fs::permissions(dir_ / "locked", fs::perms::none);
  for (const fs::path& path : {dir_ / "locked", dir_ / "locked/deeper"}) {
    const auto refuse = [&] {
      if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0) _exit(3);
      errno = 0;
      try {
        const ResultDir refused(path, "aaaa", false);
      } catch (const Error& error) {
        std::fputs(error.what(), stderr);
        _exit(1);
      }
      _exit(0);
    };
    EXPECT_EXIT(refuse(), ::testing::ExitedWithCode(1), "to write to, got: Permission denied");
  }
}

TEST_F(ResultDirTest, WritesAllFilesAndMakesTheDirectory) {
  dir_ /= "deeper";
  const ResultDir out(dir_, "aaaa", false);
  EXPECT_FALSE(fs::exists(dir_)) << "nothing may be made before there is a result";
  out.write({{"scan.csv", "a,b\n"}, {"scan.json", "{}"}});
  EXPECT_EQ(text_of(dir_ / "scan.csv"), "a,b\n");
  EXPECT_EQ(text_of(dir_ / "scan.json"), "{}");
  EXPECT_EQ(std::distance(fs::directory_iterator(dir_), {}), 2) << "no temporary file may stay";
}

TEST_F(ResultDirTest, ReplacesItsOwn) {
  put(dir_ / "scan.json",
      R"({"schema": "massact.scan", "model": {"path": "models/same", "hash": "aaaa"}})");
  ResultDir(dir_, "aaaa", false).write({{"scan.json", "new"}});
  EXPECT_EQ(text_of(dir_ / "scan.json"), "new");
}

TEST_F(ResultDirTest, RefusesAnotherModelsResultsUnlessForced) {
  put(dir_ / "ablate.json", kOther);
  EXPECT_THAT(refusal(), HasSubstr("ablate.json"));
  EXPECT_THAT(refusal(), HasSubstr("models/other"));
  EXPECT_THAT(refusal(), HasSubstr("--force"));
  EXPECT_EQ(refusal(true), "");
}

TEST_F(ResultDirTest, LeavesForeignJsonAlone) {
  put(dir_ / "notes.json", R"({"schema": "something else"})");
  put(dir_ / "more.json", R"({"a": 1})");
  EXPECT_EQ(refusal(), "");
}

TEST_F(ResultDirTest, RefusesAFile) {
  put(dir_, "I am a file");
  EXPECT_THAT(refusal(), HasSubstr("expected a directory, got a file"));
  EXPECT_THAT(refusal(true), HasSubstr("expected a directory, got a file"));
  dir_ /= "below";
  EXPECT_THAT(refusal(), HasSubstr("expected a directory, got a file"));
  dir_ = dir_.parent_path();
}

TEST_F(ResultDirTest, WritesNothingIfOneFileCannotBeWritten) {
  put(dir_ / "scan.csv", "old");
  EXPECT_THROW(ResultDir(dir_, "aaaa", false).write({{"scan.csv", "new"}, {"no/such/dir", "x"}}),
               Error);
  EXPECT_EQ(text_of(dir_ / "scan.csv"), "old");
}

}  // namespace
}  // namespace massact
