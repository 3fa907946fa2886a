#include "massact/report/step_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "massact/io/atomic_file.h"

namespace massact {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

const Settings kShort = {{"--seq-len", "32"}, {"--head", ""}};

class StepRecordTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    dir_ = fs::temp_directory_path() / "massact-step-record-test" / info->name();
    fs::remove_all(dir_);
    fs::create_directories(dir_);
    StepRecord record(dir_, "model", "aaaa");
    const ResultFile scan = {"scan.json", "{}"};
    record.add(scan, kShort);
    put(record.file());
    put(scan);
  }
  void TearDown() override { fs::remove_all(dir_); }

  void put(const ResultFile& file) const { write_file_atomically(dir_ / file.name, file.text); }
  std::string difference(const Settings& now, const std::string& hash = "aaaa") const {
    return StepRecord(dir_, "model", hash).difference("scan.json", now);
  }

  fs::path dir_;
};

TEST_F(StepRecordTest, KnowsWhatItWroteDown) {
  EXPECT_EQ(difference(kShort), "");
  EXPECT_EQ(difference({{"--seq-len", "32"}}), "");  // not given and not known: the same
}

TEST_F(StepRecordTest, NamesEveryDifference) {
  EXPECT_EQ(difference({{"--seq-len", "64"}, {"--head", ""}}), "with --seq-len 32 in place of 64");
  EXPECT_EQ(difference({{"--seq-len", ""}, {"--head", "a.pth"}}),
            "with --seq-len 32 in place of none, no --head in place of a.pth");
  EXPECT_EQ(difference({{"--images", "2 files"}}),
            "with no --images in place of 2 files, --seq-len 32 in place of none");
}

TEST_F(StepRecordTest, KnowsNoFileOfAnotherModelAndNoOtherContent) {
  EXPECT_THAT(difference(kShort, "bbbb"), HasSubstr("did not make"));
  put({"scan.json", "{ }"});
  EXPECT_THAT(difference(kShort), HasSubstr("did not make"));
}

TEST_F(StepRecordTest, ADamagedRecordKnowsNothing) {
  for (const char* text : {"", "{", "[]", "{\"schema\": 1}",
                           "{\"schema\": \"massact.report-steps\", \"schema_version\": 1, "
                           "\"model\": {\"hash\": \"aaaa\"}, \"files\": {\"scan.json\": 3}}"}) {
    put({"report-steps.json", text});
    EXPECT_THAT(difference(kShort), HasSubstr("did not make")) << text;
  }
}

}  // namespace
}  // namespace massact
