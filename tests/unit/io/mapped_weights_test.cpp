// Tensors in mapped files: what reading a part of a large one holds.
#include "massact/io/mapped_weights.h"

#include <unistd.h>

#include <fstream>

#include "massact/io/gguf.h"
#include "unit/io/io_test.h"

namespace massact {
namespace {

using io_test::bytes_of;
using io_test::error_of;
using io_test::gguf_string;
using io_test::TemporaryDirectory;
using testing::HasSubstr;

constexpr std::uint64_t kRows = 8192, kWidth = 1024;

// Bytes of which any four are a small f32 and any two a finite half.
std::string data_of(std::uint64_t count) {
  std::string data(count, '\0');
  for (std::uint64_t i = 0; i < count; ++i)
    data[i] = static_cast<char>((i * 2654435761u >> 16) % 61);
  return data;
}

// A GGUF file with one matrix [kRows, kWidth] of the given type.
std::string file_with(std::uint32_t type, std::uint64_t bytes) {
  std::string out = "GGUF" + bytes_of(std::uint32_t{3}, std::uint64_t{1}, std::uint64_t{0}) +
                    gguf_string("w") +
                    bytes_of(std::uint32_t{2}, kWidth, kRows, type, std::uint64_t{0});
  out.append((32 - out.size() % 32) % 32, '\0');
  return out + data_of(bytes);
}

// Resident pages of mapped files, in bytes.
std::int64_t mapped_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::int64_t size = 0, resident = 0, of_files = 0;
  statm >> size >> resident >> of_files;
  return of_files * ::sysconf(_SC_PAGESIZE);
}

class RowsOfALargeTensor : public testing::TestWithParam<bool> {};

TEST_P(RowsOfALargeTensor, AreReadWithoutMappingWhatIsAroundThem) {
  constexpr std::uint32_t kF32 = 0, kQ8 = 8;
  const bool plain = GetParam();
  const TemporaryDirectory directory;
  const auto source =
      open_gguf(directory.write("m.gguf", plain ? file_with(kF32, kRows * kWidth * 4)
                                                : file_with(kQ8, kRows * kWidth / 32 * 34)));
  const std::int64_t before = mapped_bytes();
  const auto width = static_cast<std::int64_t>(kWidth);
  std::vector<std::vector<float>> rows;
  for (std::int64_t row = 3; row < static_cast<std::int64_t>(kRows); row += 97) {
    rows.emplace_back(kWidth - 7);  // from the middle of a block on
    source->read("w", row * width + 7, width - 7, rows.back().data());
  }
  EXPECT_LT(mapped_bytes() - before, 1 << 20);

  std::vector<float> whole(kRows * kWidth);
  source->read("w", 0, static_cast<std::int64_t>(whole.size()), whole.data());
  EXPECT_GT(mapped_bytes() - before, 4 << 20) << "not what this measures";
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto begin = whole.begin() + (3 + 97 * static_cast<std::int64_t>(i)) * width;
    ASSERT_EQ(rows[i], std::vector<float>(begin + 7, begin + width)) << "row " << 3 + 97 * i;
  }
}

INSTANTIATE_TEST_SUITE_P(Types, RowsOfALargeTensor, testing::Bool(),
                         [](const auto& type) { return type.param ? "F32" : "Q8_0"; });

TEST(MappedFile, CopiesBytesAndNamesTheFileThatHasNone) {
  const TemporaryDirectory directory;
  const auto path = directory.write("weights", "0123456789");
  const auto file = MappedFile::open(path);
  std::string out(4, ' ');
  file->copy(6, std::as_writable_bytes(std::span(out)));
  EXPECT_EQ(out, "6789");
  EXPECT_THAT(error_of([&] { file->copy(7, std::as_writable_bytes(std::span(out))); }),
              HasSubstr("weights] expected 1 bytes at byte 10, got: the end of the file"));
}

}  // namespace
}  // namespace massact
