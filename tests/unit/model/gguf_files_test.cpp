// Where GGUF models are found.
#include "massact/model/gguf_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "massact/base/error.h"

namespace massact {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

class GgufFiles : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() /
              fmt::format("massact-gguf-files-{}-{}", ::getpid(),
                          testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  void write(const std::string& name, std::string_view bytes = "") const {
    std::ofstream(folder_ / name, std::ios::binary) << bytes;
  }

  fs::path folder_;
};

TEST_F(GgufFiles, AreKnownByNameOrByTheirFirstBytes) {
  write("a.gguf");
  write("b.GGUF");
  write("0123abcd", "GGUF\3");
  write("short", "GGU");
  write("other.bin", "FUGG....");
  for (const char* name : {"a.gguf", "b.GGUF", "0123abcd"}) {
    EXPECT_TRUE(is_gguf_file(folder_ / name)) << name;
  }
  for (const char* name : {"short", "other.bin", "absent.gguf", "."}) {
    EXPECT_FALSE(is_gguf_file(folder_ / name)) << name;
  }
}

TEST_F(GgufFiles, TheOnlyOneOfADirectoryIsItsModel) {
  EXPECT_EQ(find_gguf_model(folder_), "");
  write("README.md", "GGUF");
  fs::create_directory(folder_ / "old.gguf");
  EXPECT_EQ(find_gguf_model(folder_), "");
  write("b.GGUF");
  EXPECT_EQ(find_gguf_model(folder_), folder_ / "b.GGUF");
}

TEST_F(GgufFiles, PartsOfOneModelAreOne) {
  for (const char* part : {"3", "1", "2"}) {
    write(std::string("m-Q4-0000") + part + "-of-00003.gguf");
  }
  EXPECT_EQ(find_gguf_model(folder_), folder_ / "m-Q4-00001-of-00003.gguf");
}

TEST_F(GgufFiles, AProjectorIsNoModelOfItsOwn) {
  write("mmproj-model-f16.gguf");
  EXPECT_EQ(find_gguf_model(folder_), folder_ / "mmproj-model-f16.gguf");
  write("model-Q4.gguf");
  EXPECT_EQ(find_gguf_model(folder_), folder_ / "model-Q4.gguf");
}

TEST_F(GgufFiles, SeveralModelsAreListed) {
  write("m-Q4-00001-of-00002.gguf");
  write("m-Q4-00002-of-00002.gguf");
  write("m-Q8-00001-of-00002.gguf");
  try {
    find_gguf_model(folder_);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("got 2 of them"), HasSubstr("m-Q4-00001"),
                                    HasSubstr("m-Q8-00001")));
  }
}

}  // namespace
}  // namespace massact
