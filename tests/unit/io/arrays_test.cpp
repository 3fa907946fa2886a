// .npy arrays and token files.
#include <array>

#include "massact/io/npy.h"
#include "massact/io/token_file.h"
#include "unit/io/io_test.h"

namespace massact {
namespace {

using io_test::bytes_of;
using io_test::error_of;
using io_test::TemporaryDirectory;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

std::string npy(std::string_view header, std::string_view data, int major = 1) {
  std::string bytes = "\x93NUMPY";
  bytes += static_cast<char>(major);
  bytes += '\0';
  bytes += major == 1 ? bytes_of(static_cast<std::uint16_t>(header.size()))
                      : bytes_of(static_cast<std::uint32_t>(header.size()));
  return bytes + std::string(header) + std::string(data);
}

std::string header(std::string_view descr, std::string_view shape,
                   std::string_view order = "False") {
  return fmt::format("{{'descr': '{}', 'fortran_order': {}, 'shape': {}, }}  \n", descr, order,
                     shape);
}

TEST(Npy, ReadsEveryIntegerType) {
  const TemporaryDirectory directory;
  const auto read = [&](std::string_view descr, std::string_view data) {
    return read_npy_integers(directory.write("a.npy", npy(header(descr, "(2,)"), data))).values;
  };
  EXPECT_THAT(read("|i1", bytes_of(std::int8_t{-1}, std::int8_t{2})), ElementsAre(-1, 2));
  EXPECT_THAT(read("|u1", bytes_of(std::uint8_t{255}, std::uint8_t{2})), ElementsAre(255, 2));
  EXPECT_THAT(read("<i2", bytes_of(std::int16_t{-3}, std::int16_t{4})), ElementsAre(-3, 4));
  EXPECT_THAT(read("<u2", bytes_of(std::uint16_t{65535}, std::uint16_t{4})), ElementsAre(65535, 4));
  EXPECT_THAT(read("<i4", bytes_of(-5, 6)), ElementsAre(-5, 6));
  EXPECT_THAT(read("<u4", bytes_of(4294967295u, 6u)), ElementsAre(4294967295, 6));
  EXPECT_THAT(read("<i8", bytes_of(INT64_MIN, INT64_MAX)), ElementsAre(INT64_MIN, INT64_MAX));
  EXPECT_THAT(read("<u8", bytes_of(std::uint64_t{7}, std::uint64_t{8})), ElementsAre(7, 8));
}

TEST(Npy, ReadsMatricesAndLaterVersions) {
  const TemporaryDirectory directory;
  const auto path =
      directory.write("a.npy", npy(header("<i4", "(2, 3)"), bytes_of(1, 2, 3, 4, 5, 6), 3));
  const IntegerArray array = read_npy_integers(path);
  EXPECT_EQ(array.shape, Shape({2, 3}));
  EXPECT_THAT(array.values, ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST(Npy, WritesWhatItReads) {
  const TemporaryDirectory directory;
  const std::array<std::int64_t, 6> values = {1, -2, 3, -4, 5, -6};
  write_npy(directory / "a.npy", {3, 2}, values);
  const IntegerArray array = read_npy_integers(directory / "a.npy");
  EXPECT_EQ(array.shape, Shape({3, 2}));
  EXPECT_THAT(array.values, testing::ElementsAreArray(values));
  const std::array<float, 2> floats = {1.5f, 2.5f};
  write_npy(directory / "f.npy", {2}, floats);
  const std::string bytes = io_test::read_all(directory / "f.npy");
  EXPECT_THAT(bytes, HasSubstr("'descr': '<f4', 'fortran_order': False, 'shape': (2, )"));
  EXPECT_EQ(bytes.size(), 128u + 8u) << "the data begin at a multiple of 64";
  EXPECT_THAT(bytes, testing::EndsWith("\n" + bytes_of(1.5f, 2.5f)));
  const FloatArray read = read_npy_floats(directory / "f.npy");
  EXPECT_EQ(read.shape, Shape({2}));
  EXPECT_THAT(read.values, testing::ElementsAreArray(floats));
  EXPECT_THAT(error_of([&] { read_npy_floats(directory / "a.npy"); }), HasSubstr("<f4"));
  EXPECT_THAT(error_of([&] { write_npy(directory / "g.npy", {3}, floats); }),
              HasSubstr("expected 3 values for shape [3], got 2"));
}

struct BadArray {
  const char* name;
  std::string bytes;
  const char* message;
};

class NpyRefuses : public testing::TestWithParam<BadArray> {};

TEST_P(NpyRefuses, WithOneClearError) {
  const TemporaryDirectory directory;
  const auto path = directory.write("bad.npy", GetParam().bytes);
  EXPECT_THAT(
      error_of([&] { read_npy_integers(path); }),
      AllOf(HasSubstr("bad.npy] expected"), HasSubstr("got"), HasSubstr(GetParam().message)));
}

INSTANTIATE_TEST_SUITE_P(
    Table, NpyRefuses,
    testing::Values(
        BadArray{"Magic", "PK\x03\x04 a zip file", "magic"},
        BadArray{"Version", npy(header("<i4", "(0,)"), "", 4), "version 1 to 3, got 4"},
        BadArray{"CutLength", "\x93NUMPY\x02" + std::string(3, '\0'), "header length"},
        BadArray{"CutHeader", npy(header("<i4", "(1,)"), "").substr(0, 30), "got length 6"},
        BadArray{"Float", npy(header("<f4", "(1,)"), "abcd"), "got descr '<f4'"},
        BadArray{"BigEndian", npy(header(">i4", "(1,)"), "abcd"), "got descr '>i4'"},
        BadArray{"Object", npy(header("|O", "(1,)"), "abcd"), "got descr '|O'"},
        BadArray{"Scalar", npy(header("<i4", "()"), "abcd"), "got shape []"},
        BadArray{"Cube", npy(header("<i4", "(1, 1, 1)"), "abcd"), "got shape [1, 1, 1]"},
        BadArray{"Fortran", npy(header("<i4", "(1, 1)", "True"), "abcd"), "Fortran order"},
        BadArray{"TooShort", npy(header("<i4", "(2,)"), "abcd"), "2 elements of 4 bytes"},
        BadArray{"TooLong", npy(header("<i4", "(1,)"), "abcde"), "got 5 bytes of data"},
        BadArray{"Negative", npy(header("<i4", "(-1,)"), ""), "extents of at least 0"},
        BadArray{"Overflow", npy(header("<i4", "(4611686018427387904, 4)"), ""), "product"},
        BadArray{"HugeExtent", npy(header("<i4", "(99999999999999999999,)"), ""), "at its byte"},
        BadArray{"NoDescr", npy("{'fortran_order': False, 'shape': (1,)}", "abcd"), "descr"},
        BadArray{"TwoShapes",
                 npy("{'descr': '<i4', 'shape': (1,), 'shape': (1,), 'fortran_order': False}", "x"),
                 "at its byte"},
        BadArray{"OpenString", npy("{'descr", ""), "at its byte 2"},
        BadArray{"Garbage", npy(header("<i4", "(1,)") + "x", "abcd"), "at its byte"},
        BadArray{"AboveSigned", npy(header("<u8", "(1,)"), bytes_of(std::uint64_t{1} << 63)),
                 "below 2^63, got 9223372036854775808"}),
    [](const auto& case_info) { return case_info.param.name; });

std::string llmc(std::int32_t magic, std::int32_t count, std::string_view data) {
  std::string bytes = bytes_of(magic, 1, count);
  bytes.resize(1024, '\0');
  return bytes + std::string(data);
}

TEST(TokenFile, ReadsRawAndHeadedFiles) {
  const TemporaryDirectory directory;
  const std::string wide = bytes_of(70000u, 1u, 2u);
  const std::string narrow = bytes_of(std::uint16_t{50256}, std::uint16_t{1}, std::uint16_t{2});
  const auto all = [&](std::string_view bytes, TokenWidth width) {
    const auto file = TokenFile::open(directory.write("train.bin", bytes), width);
    return file.read(0, file.size());
  };
  EXPECT_THAT(all(narrow, TokenWidth::automatic), ElementsAre(50256, 1, 2));
  EXPECT_THAT(all(wide, TokenWidth::u32), ElementsAre(70000, 1, 2));
  EXPECT_THAT(all(llmc(20240520, 3, narrow), TokenWidth::automatic), ElementsAre(50256, 1, 2));
  EXPECT_THAT(all(llmc(20240801, 3, wide), TokenWidth::automatic), ElementsAre(70000, 1, 2));
  const auto file = TokenFile::open(directory.write("train.bin", narrow));
  EXPECT_THAT(file.read(1, 2), ElementsAre(1, 2));
  EXPECT_THAT(error_of([&] { file.read(2, 2); }), HasSubstr("2 tokens from token 2"));
}

TEST(TokenFile, RefusesOddSizesAndLyingHeaders) {
  const TemporaryDirectory directory;
  EXPECT_THAT(error_of([&] { TokenFile::open(directory.write("t.bin", "abc")); }),
              HasSubstr("t.bin] expected a multiple of 2 bytes of tokens, got 3"));
  EXPECT_THAT(
      error_of([&] { TokenFile::open(directory.write("t.bin", "abcdef"), TokenWidth::u32); }),
      HasSubstr("multiple of 4"));
  EXPECT_THAT(
      error_of([&] { TokenFile::open(directory.write("t.bin", llmc(20240520, 9, "abcd"))); }),
      HasSubstr("expected the 9 tokens that the header announces, got 2"));
}

}  // namespace
}  // namespace massact
