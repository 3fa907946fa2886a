// Drawing batches; damaged and foreign files.
#include "train/data.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "helpers.h"
#include "massact/base/error.h"

namespace massact::train {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

template <typename Call>
std::string error_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Batches, DependOnSeedAndNumberOnly) {
  const TemporaryFolder folder;
  const Dataset dataset(sample_data(folder));
  const Batch four = dataset.train_batch(9, 8, 4, 16, true);
  const Batch two = dataset.train_batch(9, 10, 2, 16, true);  // as the second of two ranks
  EXPECT_TRUE(at::equal(four.inputs.narrow(0, 2, 2), two.inputs));
  EXPECT_TRUE(at::equal(four.targets.narrow(0, 2, 2), two.targets));
  EXPECT_FALSE(at::equal(four.inputs, dataset.train_batch(10, 8, 4, 16, true).inputs));
  // BOS first; otherwise inputs are the targets, one later.
  EXPECT_TRUE(at::equal(four.inputs.select(1, 0), at::ones({4}, at::kLong)));
  EXPECT_TRUE(at::equal(four.inputs.narrow(1, 1, 15), four.targets.narrow(1, 0, 15)));
  const Batch plain = dataset.train_batch(9, 8, 4, 16, false);
  EXPECT_TRUE(at::equal(plain.inputs.narrow(1, 1, 15), plain.targets.narrow(1, 0, 15)));
  EXPECT_TRUE(at::equal(plain.inputs, four.targets));
}

TEST(Batches, NeedTextForOneSequence) {
  const TemporaryFolder folder;
  const Dataset dataset(sample_data(folder));
  EXPECT_THAT(error_of([&] { dataset.train_batch(1, 0, 1, dataset.train_tokens(), true); }),
              HasSubstr("one sequence"));
  EXPECT_EQ(dataset.val_batch(0, 5, dataset.val_tokens(), true).inputs.size(0), 0);
}

class DamagedData : public testing::Test {
 protected:
  std::string opening() const {
    return error_of([&] { Dataset dataset(data_); });
  }
  TemporaryFolder folder_;
  fs::path data_ = sample_data(folder_);
};

TEST_F(DamagedData, OneChangedTokenIsNoticed) {
  std::fstream file(data_ / "train.bin", std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(100);
  file.put(static_cast<char>(read_file(data_ / "train.bin")[100] ^ 1));
  file.close();
  EXPECT_THAT(opening(), HasSubstr("checksum"));
}

TEST_F(DamagedData, ATruncatedFileIsNoticed) {
  fs::resize_file(data_ / "train.bin", 1000);
  EXPECT_THAT(opening(), HasSubstr("tokens as data.json says, got 500"));
  fs::resize_file(data_ / "train.bin", 1001);
  EXPECT_THAT(opening(), HasSubstr("multiple of 2 bytes"));
}

TEST_F(DamagedData, AForeignFileIsNoticed) {
  const std::string foreign(fs::file_size(data_ / "val.bin"), '\xff');
  std::ofstream(data_ / "val.bin", std::ios::binary) << foreign;
  EXPECT_THAT(opening(), HasSubstr("expected token ids below 300, got 65535"));
  fs::remove(data_ / "data.json");
  EXPECT_THAT(opening(), HasSubstr("data.json"));
}

}  // namespace
}  // namespace massact::train
