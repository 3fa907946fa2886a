#include "massact/io/safetensors.h"
#include "massact/io/weight_files.h"

#include <array>

#include "unit/io/io_test.h"

namespace massact {
namespace {

using io_test::bytes_of;
using io_test::error_of;
using io_test::TemporaryDirectory;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

std::string safetensors(std::string_view header, std::string_view data = "") {
  return bytes_of(static_cast<std::uint64_t>(header.size())) + std::string(header) +
         std::string(data);
}

std::string entry(std::string_view name, std::string_view dtype, std::string_view shape, int begin,
                  int end) {
  return fmt::format(R"("{}": {{"dtype": "{}", "shape": {}, "data_offsets": [{}, {}]}})", name,
                     dtype, shape, begin, end);
}

template <typename T>
std::span<const std::byte> raw(const T& values) {
  return std::as_bytes(std::span(values));
}

TEST(Safetensors, ReadsEveryTensorOfAFile) {
  const TemporaryDirectory directory;
  const auto path = directory.write(
      "model.safetensors",
      safetensors(
          "{" + entry("b", "BF16", "[2]", 8, 12) + ", " + entry("a", "F32", "[2, 1]", 0, 8) + ", " +
              entry("scalar", "I64", "[]", 12, 20) + ", " + entry("none", "F16", "[0, 7]", 12, 12) +
              R"(, "__metadata__": {"format": "pt"}})" + "   ",
          bytes_of(1.5f, -2.0f, std::uint16_t{0x3f80}, std::uint16_t{0xc040}, std::int64_t{7})));
  for (const auto& place : {path, directory.path()}) {
    const auto source = open_safetensors(place);
    EXPECT_EQ(source->description(), place.string());
    EXPECT_EQ(source->file_bytes(), std::filesystem::file_size(path));
    ASSERT_EQ(source->tensors().size(), 4u);
    EXPECT_EQ(source->tensors()[1].name, "b");
    EXPECT_EQ(source->tensors()[1].bytes, 4u);
    const TensorView a = source->view("a");
    EXPECT_EQ(a.shape, Shape({2, 1}));
    EXPECT_EQ(a.type, DType::f32);
    EXPECT_EQ(std::memcmp(a.data, bytes_of(1.5f, -2.0f).data(), 8), 0);
    std::array<float, 2> values{};
    source->read("b", 0, 2, values.data());
    EXPECT_THAT(values, ElementsAre(1.0f, -3.0f));
    source->read("a", 1, 1, values.data());
    EXPECT_EQ(values[0], -2.0f);
    EXPECT_EQ(source->view("none").shape.element_count(), 0);
    EXPECT_EQ(source->find("c"), nullptr);
    source->will_need("a");
    source->release("a");
  }
  EXPECT_EQ(read_safetensors_metadata(path).at("format"), "pt");
}

TEST(Safetensors, ReadsEightBitFloats) {
  const TemporaryDirectory directory;
  const auto path = directory.write(
      "f8.safetensors",
      safetensors("{" + entry("e4m3", "F8_E4M3", "[5]", 0, 5) + "," +
                      entry("e5m2", "F8_E5M2", "[3]", 5, 8) + "}",
                  bytes_of(std::uint8_t{0x38}, std::uint8_t{0xfe}, std::uint8_t{0x01},
                           std::uint8_t{0x7f}, std::uint8_t{0x80}, std::uint8_t{0x3c},
                           std::uint8_t{0x7c}, std::uint8_t{0x01})));
  const auto source = open_safetensors(path);
  std::array<float, 5> e4m3{};
  source->read("e4m3", 0, 5, e4m3.data());
  EXPECT_THAT(e4m3, ElementsAre(1.0f, -448.0f, 0x1p-9f, testing::IsNan(), -0.0f));
  std::array<float, 3> e5m2{};
  source->read("e5m2", 0, 3, e5m2.data());
  EXPECT_THAT(e5m2, ElementsAre(1.0f, std::numeric_limits<float>::infinity(), 0x1p-16f));
}

TEST(Safetensors, MissingTensorsNameNearOnes) {
  const TemporaryDirectory directory;
  const auto path = directory.write(
      "m.safetensors", safetensors("{" + entry("lm_head.weight", "I8", "[4]", 0, 4) + "}", "abcd"));
  const auto source = open_safetensors(path);
  EXPECT_THAT(error_of([&] { source->view("lm_head.weigth"); }),
              AllOf(HasSubstr("m.safetensors]"), HasSubstr("(near: lm_head.weight)")));
  std::array<float, 4> out{};
  EXPECT_THAT(error_of([&] { source->read("lm_head.weight", 0, 4, out.data()); }),
              HasSubstr("expected a floating-point type, got i8"));
  EXPECT_THAT(error_of([&] { source->read("lm_head.weight", 2, 3, out.data()); }),
              HasSubstr("expected a range inside its 4 elements, got 3 elements from element 2"));
}

struct BadFile {
  const char* name;
  std::string bytes;
  const char* message;
};

class SafetensorsRefuses : public testing::TestWithParam<BadFile> {};

TEST_P(SafetensorsRefuses, WithOneClearError) {
  const TemporaryDirectory directory;
  const auto path = directory.write("bad.safetensors", GetParam().bytes);
  const auto message = error_of([&] { open_safetensors(path); });
  EXPECT_THAT(message, AllOf(HasSubstr("bad.safetensors"), HasSubstr("expected"), HasSubstr("got"),
                             HasSubstr(GetParam().message)));
}

std::string one(std::string_view dtype, std::string_view shape, int begin, int end, int data) {
  return safetensors("{" + entry("w", dtype, shape, begin, end) + "}",
                     std::string(static_cast<std::size_t>(data), 'x'));
}

INSTANTIATE_TEST_SUITE_P(
    Table, SafetensorsRefuses,
    testing::Values(
        BadFile{"Tiny", "abc", "at least 10 bytes, got 3"},
        BadFile{"HeaderLongerThanFile", bytes_of(std::uint64_t{100}) + "{}",
                "at most 2 bytes (the file has 10), got length 100"},
        BadFile{"HeaderLength2To63", bytes_of(std::uint64_t{1} << 63) + "{}", "got length 9223372"},
        BadFile{"HeaderLengthAllOnes", bytes_of(~std::uint64_t{0}) + "{}", "got length 184467"},
        BadFile{"HeaderEmpty", bytes_of(std::uint64_t{0}) + "{}", "begins with '{', got nothing"},
        BadFile{"HeaderNotAnObject", safetensors("[1]"), "begins with '{'"},
        BadFile{"HeaderNotJson", safetensors("{\"a\": "), "expected JSON"},
        BadFile{"HeaderNotUtf8", safetensors("{\"\xff\": 1}"), "UTF-8"},
        BadFile{"HeaderDeep", safetensors("{\"a\": " + std::string(10'000, '[')), "64 levels"},
        BadFile{"DuplicateTensor",
                safetensors("{" + entry("w", "U8", "[1]", 0, 1) + "," +
                                entry("w", "U8", "[1]", 1, 2) + "}",
                            "xy"),
                "got \"w\" twice"},
        BadFile{"UnknownType", one("F4", "[1]", 0, 1, 1), "w.dtype] expected one of F32, BF16"},
        BadFile{"TypeNotAString",
                safetensors(R"({"w": {"dtype": 3, "shape": [1], "data_offsets": [0, 1]}})", "x"),
                "w.dtype] expected a string, got 3"},
        BadFile{"NoShape", safetensors(R"({"w": {"dtype": "U8", "data_offsets": [0, 1]}})", "x"),
                "w.shape] expected this field"},
        BadFile{"NegativeExtent", one("U8", "[-1]", 0, 1, 1), "w.shape] expected extents"},
        BadFile{"FractionalExtent", one("U8", "[1.0]", 0, 1, 1), "w.shape[0]] expected a whole"},
        BadFile{"ProductOverflows", one("U8", "[4294967296, 4294967296, 2]", 0, 1, 1),
                "w.shape] expected a shape whose product fits"},
        BadFile{"ProductOverflowsWithZero", one("U8", "[4294967296, 4294967296, 0]", 0, 1, 1),
                "w.shape] expected a shape whose product fits"},
        BadFile{"ProductTimesTypeOverflows", one("F64", "[2305843009213693952]", 0, 0, 0),
                "2305843009213693952 elements of shape"},
        BadFile{"HugeExtent", one("U8", "[18446744073709551615]", 0, 1, 1), "whole number in"},
        BadFile{"SizeMismatch", one("F32", "[2]", 0, 4, 4),
                "2 elements of shape [2] as F32, got 4"},
        BadFile{"OffsetsBeyondData", one("U8", "[9]", 0, 9, 8), "within 8 bytes of data, got 9"},
        BadFile{"OffsetsReversed", one("U8", "[1]", 1, 0, 1), "0 <= begin <= end, got [1, 0]"},
        BadFile{"OffsetsNegative", one("U8", "[1]", -1, 0, 1), "got [-1, 0]"},
        BadFile{
            "OffsetsOfThree",
            safetensors(R"({"w": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1, 1]}})", "x"),
            "got [0, 1, 1]"},
        BadFile{"Overlap",
                safetensors("{" + entry("v", "U8", "[2]", 0, 2) + "," +
                                entry("w", "U8", "[2]", 1, 3) + "}",
                            "xyz"),
                "do not overlap, got w from byte 1 on while v ends at 2"},
        BadFile{"Hole",
                safetensors("{" + entry("v", "U8", "[1]", 0, 1) + "," +
                                entry("w", "U8", "[1]", 2, 3) + "}",
                            "xyz"),
                "no holes, got 1 bytes that belong to no tensor before w"},
        BadFile{"DataBehindTheLast", one("U8", "[1]", 0, 1, 2), "describe 2 bytes of data, got 1"},
        BadFile{"Truncated", one("U8", "[8]", 0, 8, 7), "within 7 bytes of data, got 8"},
        BadFile{"MetadataNotStrings", safetensors(R"({"__metadata__": {"step": 3}})"),
                "__metadata__.step] expected a string"},
        BadFile{"EntryNotAnObject", safetensors(R"({"w": 3})"), "w] expected an object, got 3"}),
    [](const auto& case_info) { return case_info.param.name; });

class Shards : public testing::Test {
 protected:
  void shard(std::string_view file, std::string_view tensor) {
    directory_.write(file, safetensors("{" + entry(tensor, "U8", "[1]", 0, 1) + "}", "x"));
  }
  std::string open_with_index(std::string_view weight_map) {
    directory_.write("model.safetensors.index.json",
                     fmt::format(R"({{"metadata": {{}}, "weight_map": {}}})", weight_map));
    return error_of([&] { source_ = open_safetensors(directory_.path()); });
  }

  TemporaryDirectory directory_;
  std::unique_ptr<WeightSource> source_;
};

TEST_F(Shards, AreReadAsOneModel) {
  shard("1.safetensors", "b");
  shard("2.safetensors", "a");
  ASSERT_EQ(open_with_index(R"({"a": "2.safetensors", "b": "1.safetensors"})"), "no error");
  ASSERT_EQ(source_->tensors().size(), 2u);
  EXPECT_EQ(source_->tensors()[0].name, "a");
  EXPECT_EQ(source_->file_bytes(), std::filesystem::file_size(directory_ / "1.safetensors") +
                                       std::filesystem::file_size(directory_ / "2.safetensors"));
  const auto index = directory_ / "model.safetensors.index.json";
  EXPECT_EQ(open_safetensors(index)->tensors().size(), 2u);
}

TEST_F(Shards, MissingOnesAreListedTogether) {
  shard("1.safetensors", "a");
  EXPECT_THAT(open_with_index(R"({"a": "1.safetensors", "b": "2.safetensors",
                                  "c": "3.safetensors"})"),
              HasSubstr("expected 3 shards, got 1; missing: 2.safetensors, 3.safetensors"));
}

TEST_F(Shards, ThatContradictTheIndexAreRefused) {
  shard("1.safetensors", "a");
  shard("2.safetensors", "b");
  EXPECT_THAT(open_with_index(R"({"a": "1.safetensors", "c": "2.safetensors"})"),
              HasSubstr("expected tensor c in 2.safetensors, got it nowhere"));
  EXPECT_THAT(open_with_index(R"({"a": "2.safetensors", "b": "1.safetensors"})"),
              HasSubstr("expected tensor a in 2.safetensors, got it in 1.safetensors"));
  shard("2.safetensors", "a");
  EXPECT_THAT(open_with_index(R"({"a": "1.safetensors", "b": "2.safetensors"})"),
              HasSubstr("expected tensor a in one shard, got it in 1.safetensors and 2"));
}

TEST_F(Shards, CannotLeadOutOfTheDirectory) {
  for (const char* name : {"../x.safetensors", "/etc/passwd", "..", ""}) {
    EXPECT_THAT(open_with_index(fmt::format(R"({{"a": "{}"}})", name)),
                HasSubstr("weight_map.a] expected the name of a file beside the index"));
  }
  EXPECT_THAT(open_with_index("{}"), HasSubstr("weight_map to name tensors"));
}

TEST(Safetensors, DirectoriesWithoutWeightsSayWhatIsExpected) {
  const TemporaryDirectory directory;
  EXPECT_THAT(error_of([&] { open_safetensors(directory.path()); }),
              HasSubstr("expected model.safetensors or model.safetensors.index.json"));
  EXPECT_THAT(error_of([&] { open_weight_files(directory.path()); }),
              HasSubstr("pytorch_model.bin or pytorch_model.bin.index.json"));
}

TEST(SafetensorsWriter, WritesPiecesInAnyOrder) {
  const TemporaryDirectory directory;
  const auto path = directory / "out.safetensors";
  SafetensorsWriter writer(
      path, {{"w", DType::f32, {2, 2}}, {"ids", DType::u16, {3}}, {"e", DType::i8, {0}}},
      {{"made by", "a \"test\""}});
  const std::array<float, 2> first = {1, 2}, second = {3, 4};
  const std::array<std::uint16_t, 3> ids = {7, 8, 9};
  writer.write("w", 8, raw(second));
  writer.write("ids", 0, raw(ids));
  writer.write("w", 0, raw(first));
  EXPECT_FALSE(std::filesystem::exists(path));
  writer.commit();
  const auto source = open_safetensors(path);
  std::array<float, 4> values{};
  source->read("w", 0, 4, values.data());
  EXPECT_THAT(values, ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(std::memcmp(source->view("ids").data, ids.data(), 6), 0);
  EXPECT_EQ(read_safetensors_metadata(path).at("made by"), "a \"test\"");
  EXPECT_EQ(directory.file_count(), 1u);
}

TEST(SafetensorsWriter, RefusesWhatWouldNotBeWhole) {
  const TemporaryDirectory directory;
  const auto path = directory / "out.safetensors";
  const std::array<float, 2> values = {1, 2};
  {
    SafetensorsWriter writer(path, {{"w", DType::f32, {4}}});
    writer.write("w", 0, raw(values));
    EXPECT_THAT(error_of([&] { writer.write("v", 0, raw(values)); }), HasSubstr("got v"));
    EXPECT_THAT(error_of([&] { writer.write("w", 12, raw(values)); }), HasSubstr("8 bytes at 12"));
    EXPECT_THAT(error_of([&] { writer.commit(); }),
                HasSubstr("expected 16 bytes written to w, got 8"));
  }
  EXPECT_EQ(directory.file_count(), 0u);
  EXPECT_THAT(error_of([&] {
                SafetensorsWriter(path, {{"w", DType::f32, {1}}, {"w", DType::f32, {1}}});
              }),
              HasSubstr("got w twice"));
}

}  // namespace
}  // namespace massact
