#include "massact/io/gguf.h"

#include <sys/resource.h>

#include <algorithm>
#include <bit>

#include "massact/io/safetensors.h"
#include "paths.h"
#include "unit/io/io_test.h"

namespace massact {
namespace {

using io_test::bytes_of;
using io_test::error_of;
using io_test::gguf_string;
using io_test::TemporaryDirectory;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

const std::filesystem::path kGoldens = testing_support::golden_folder() / "gguf";

std::vector<float> all_of(const WeightSource& source, std::string_view name) {
  std::vector<float> values(static_cast<std::size_t>(source.info(name).shape.element_count()));
  source.read(name, 0, static_cast<std::int64_t>(values.size()), values.data());
  return values;
}

void expect_same_bits(const std::vector<float>& got, const std::vector<float>& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(std::bit_cast<std::uint32_t>(got[i]), std::bit_cast<std::uint32_t>(expected[i]))
        << "element " << i << ": " << got[i] << " instead of " << expected[i];
  }
}

// A GGUF file, field by field.
struct Builder {
  std::string magic = "GGUF";
  std::uint32_t version = 3;
  std::vector<std::string> pairs;
  std::vector<std::string> tensors;
  std::string data;
  std::uint64_t lie_about_pairs = 0;
  std::uint64_t lie_about_tensors = 0;

  Builder& pair(std::string_view key, std::uint32_t type, std::string_view value) {
    pairs.push_back(gguf_string(key) + bytes_of(type) + std::string(value));
    return *this;
  }
  Builder& tensor(std::string_view name, std::vector<std::uint64_t> extents, std::uint32_t type,
                  std::uint64_t offset) {
    std::string bytes = gguf_string(name) + bytes_of(static_cast<std::uint32_t>(extents.size()));
    for (const std::uint64_t extent : extents) bytes += bytes_of(extent);
    tensors.push_back(bytes + bytes_of(type, offset));
    return *this;
  }
  Builder& with_data(std::size_t bytes) {
    data.assign(bytes, 'x');
    return *this;
  }
  std::string bytes() const {
    std::string out = magic + bytes_of(version, tensors.size() + lie_about_tensors,
                                       pairs.size() + lie_about_pairs);
    for (const auto& text : pairs) out += text;
    for (const auto& text : tensors) out += text;
    if (!tensors.empty()) out.append((32 - out.size() % 32) % 32, '\0');
    return out + data;
  }
};

class EveryType : public testing::TestWithParam<std::string> {};

// The blocks become a tensor of a GGUF file, so that the type's size and number are tested too.
TEST_P(EveryType, DequantizesAsTheReferenceDoes) {
  const auto goldens = open_safetensors(kGoldens / "blocks.safetensors");
  const TensorView blocks = goldens->view(GetParam() + ".blocks");
  const auto type = std::find_if(gguf_types().begin(), gguf_types().end(),
                                 [](const GgufType& t) { return t.name == GetParam(); });
  ASSERT_NE(type, gguf_types().end());
  const std::uint64_t count = blocks.byte_count() / static_cast<std::uint64_t>(type->block_bytes) *
                              static_cast<std::uint64_t>(type->block_elements);
  Builder builder;
  builder.tensor("w", {count}, type->id, 0);
  builder.data.assign(reinterpret_cast<const char*>(blocks.data), blocks.byte_count());
  const TemporaryDirectory directory;
  const auto source = open_gguf(directory.write("m.gguf", builder.bytes()));
  EXPECT_EQ(source->info("w").encoding, GetParam());
  expect_same_bits(all_of(*source, "w"), all_of(*goldens, GetParam() + ".values"));
}

INSTANTIATE_TEST_SUITE_P(Goldens, EveryType,
                         testing::Values("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0",
                                         "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL",
                                         "IQ4_XS", "MXFP4"),
                         [](const auto& case_info) { return case_info.param; });

TEST(Gguf, ReadsAFileOfTheReferenceWriter) {
  const auto expected = open_safetensors(kGoldens / "tensors.safetensors");
  for (const char* file : {"types.gguf", "split-00001-of-00002.gguf"}) {
    const auto source = open_gguf(kGoldens / file);
    ASSERT_EQ(source->tensors().size(), expected->tensors().size());
    for (const TensorInfo& tensor : source->tensors()) {
      SCOPED_TRACE(tensor.name);
      EXPECT_EQ(tensor.shape, expected->info(tensor.name).shape);
      expect_same_bits(all_of(*source, tensor.name), all_of(*expected, tensor.name));
    }
  }
}

TEST(Gguf, ReadsAnyRangeOfAQuantisedTensor) {
  const auto source = open_gguf(kGoldens / "types.gguf");
  const std::string name = "blk.0.attn_q.weight";
  EXPECT_EQ(source->info(name).shape, Shape({3, 512}));
  const auto whole = all_of(*source, name);
  for (const std::int64_t first : {0, 1, 255, 256, 300, 1535}) {
    for (const std::int64_t count : {0, 1, 100, 256, 600}) {
      if (first + count > 1536) continue;
      std::vector<float> part(static_cast<std::size_t>(count));
      source->read(name, first, count, part.data());
      expect_same_bits(part, {whole.begin() + first, whole.begin() + first + count});
    }
  }
  EXPECT_THAT(error_of([&] { source->view(name); }), HasSubstr("got Q4_K"));
  float value = 0;
  EXPECT_THAT(error_of([&] { source->read(name, 1536, 1, &value); }), HasSubstr("1536 elements"));
  EXPECT_EQ(source->view("norm.weight").type, DType::f32);
}

TEST(Gguf, GivesMetadataOfEveryType) {
  const auto source = open_gguf(kGoldens / "types.gguf");
  const GgufMetadata& metadata = source->metadata();
  EXPECT_EQ(metadata.get<std::string>("general.architecture"), "llama");
  EXPECT_EQ(metadata.get<int>("test.u8"), 200);
  EXPECT_EQ(metadata.get<int>("test.i8"), -100);
  EXPECT_EQ(metadata.get<int>("test.u16"), 60000);
  EXPECT_EQ(metadata.get<int>("test.i16"), -30000);
  EXPECT_EQ(metadata.get<std::int64_t>("test.u32"), 4000000000);
  EXPECT_EQ(metadata.get<int>("test.i32"), -2000000000);
  EXPECT_EQ(metadata.get<std::uint64_t>("test.u64"), std::uint64_t{1} << 63);
  EXPECT_EQ(metadata.get<std::int64_t>("test.i64"), -(std::int64_t{1} << 62));
  EXPECT_EQ(metadata.get<float>("test.f32"), 1.5f);
  EXPECT_EQ(metadata.get<double>("test.f64"), 1e-300);
  EXPECT_EQ(metadata.get<double>("test.u8"), 200.0);
  EXPECT_TRUE(metadata.get<bool>("test.bool"));
  EXPECT_EQ(metadata.get<std::string>("test.string"), "wörter");
  EXPECT_THAT(metadata.get<std::vector<std::string>>("test.tokens"), ElementsAre("<s>", "", "ab"));
  EXPECT_THAT(metadata.get<std::vector<float>>("test.scores"), ElementsAre(0.5f, -1.5f));
  EXPECT_THAT(metadata.get<std::vector<std::int64_t>>("test.types"), ElementsAre(1, 2, 3));
  EXPECT_EQ(metadata.get_or<int>("none", 5), 5);
  EXPECT_THAT(metadata.keys(), testing::Contains("test.f64"));
}

TEST(Gguf, MetadataErrorsNameTheKey) {
  const auto source = open_gguf(kGoldens / "types.gguf");
  const GgufMetadata& metadata = source->metadata();
  EXPECT_THAT(error_of([&] { metadata.get<int>("none"); }),
              HasSubstr("types.gguf: none] expected this metadata key, got none"));
  EXPECT_THAT(
      error_of([&] { metadata.get<int>("test.u32"); }),
      HasSubstr("test.u32] expected a whole number in [-2147483648, 2147483647], got 4000"));
  EXPECT_THAT(error_of([&] { metadata.get<std::uint64_t>("test.i8"); }), HasSubstr("got -100"));
  EXPECT_THAT(error_of([&] { metadata.get<int>("test.f32"); }), HasSubstr("whole number, got 1.5"));
  EXPECT_THAT(error_of([&] { metadata.get<int>("test.string"); }), HasSubstr("got a string"));
  EXPECT_THAT(error_of([&] { metadata.get<std::string>("test.u8"); }), HasSubstr("string, got u8"));
  EXPECT_THAT(error_of([&] { metadata.get<bool>("test.u8"); }), HasSubstr("expected a bool"));
  EXPECT_THAT(error_of([&] { metadata.get<int>("test.types"); }), HasSubstr("got an array of i32"));
  EXPECT_THAT(error_of([&] { metadata.get<std::vector<float>>("test.f32"); }),
              HasSubstr("expected an array, got one value of f32"));
}

TEST(Gguf, ReadsVersion2AndFilesWithoutTensors) {
  const TemporaryDirectory directory;
  Builder builder;
  builder.version = 2;
  builder.pair("a", 4, bytes_of(7u));
  const auto source = open_gguf(directory.write("v.gguf", builder.bytes()));
  EXPECT_EQ(source->metadata().get<int>("a"), 7);
  EXPECT_TRUE(source->tensors().empty());
}

TEST(Gguf, ReadsPublishedVocabularies) {
  const auto path = testing_support::shared_data() / "vocab-gguf/ggml-vocab-gpt-2.gguf";
  SKIP_WITHOUT(path);
  const auto source = open_gguf(path);
  const auto tokens = source->metadata().get<std::vector<std::string>>("tokenizer.ggml.tokens");
  ASSERT_EQ(tokens.size(), 50257u);
  EXPECT_EQ(tokens[50256], "<|endoftext|>");
}

struct BadGguf {
  const char* name;
  std::string bytes;
  const char* message;
};

class GgufRefuses : public testing::TestWithParam<BadGguf> {};

TEST_P(GgufRefuses, WithOneClearError) {
  const TemporaryDirectory directory;
  const auto path = directory.write("bad.gguf", GetParam().bytes);
  EXPECT_THAT(error_of([&] { open_gguf(path); }),
              AllOf(HasSubstr("bad.gguf"), HasSubstr("expected"), HasSubstr("got"),
                    HasSubstr(GetParam().message)));
}

constexpr std::uint32_t kU8 = 0, kU32 = 4, kString = 8, kArray = 9;
constexpr std::uint32_t kF32 = 0, kQ8 = 8;

std::string with(const std::function<void(Builder&)>& change) {
  Builder builder;
  change(builder);
  return builder.bytes();
}

std::string array_of(std::uint32_t type, std::uint64_t count, std::string_view elements = "") {
  return bytes_of(type, count) + std::string(elements);
}

INSTANTIATE_TEST_SUITE_P(
    Table, GgufRefuses,
    testing::Values(
        BadGguf{"Magic", with([](auto& b) { b.magic = "GGML"; }), "magic 'GGUF'"},
        BadGguf{"Version1", with([](auto& b) { b.version = 1; }), "version 2 or 3, got 1"},
        BadGguf{"Version4", with([](auto& b) { b.version = 4; }), "version 2 or 3, got 4"},
        BadGguf{"BigEndian", with([](auto& b) { b.version = 3u << 24; }), "little-endian"},
        BadGguf{"CutHeader", Builder().bytes().substr(0, 12), "8 bytes for the tensor count"},
        BadGguf{"TensorCount2To63", with([](auto& b) { b.lie_about_tensors = 1ull << 63; }),
                "tensor count that fits the file, got 9223372036854775808"},
        BadGguf{"PairCount2To64", with([](auto& b) { b.lie_about_pairs = ~0ull; }),
                "metadata count that fits the file, got 18446744073709551615"},
        BadGguf{"OnePairLess",
                with([](auto& b) { b.pair("a", kU8, std::string(20, '\1')).lie_about_pairs = 1; }),
                "for a metadata key"},
        BadGguf{"String2To60",
                with([](auto& b) { b.pair("a", kString, bytes_of(std::uint64_t{1} << 60)); }),
                "expected 1152921504606846976 bytes for a "},
        BadGguf{"Key2To60", with([](auto& b) {
                  b.pairs.push_back(bytes_of(std::uint64_t{1} << 60) + std::string(40, 'k'));
                }),
                "expected 1152921504606846976 bytes for a metadata key"},
        BadGguf{"KeyUnprintable", with([](auto& b) { b.pair("\x1b[2J", kU8, "x"); }), "printable"},
        BadGguf{"KeyEmpty", with([](auto& b) { b.pair("", kU8, "xxx"); }), "printable"},
        BadGguf{"KeyTwice", with([](auto& b) { b.pair("a", kU8, "x").pair("a", kU8, "x"); }),
                "each metadata key once, got a twice"},
        BadGguf{"UnknownValueType", with([](auto& b) { b.pair("a", 13, "xxxx"); }),
                "a metadata type of at most 12, got 13"},
        BadGguf{"ArrayOf2To62",
                with([](auto& b) { b.pair("a", kArray, array_of(kU32, 1ull << 62)); }),
                "4611686018427387904 elements of u32 for a"},
        BadGguf{"StringsOf2To61",
                with([](auto& b) { b.pair("a", kArray, array_of(kString, 1ull << 61)); }),
                "2305843009213693952 strings for a"},
        BadGguf{"NestedArray",
                with([](auto& b) { b.pair("a", kArray, array_of(kArray, 1, array_of(kU8, 0))); }),
                "got nested arrays"},
        BadGguf{"UnknownTensorType",
                with([](auto& b) { b.tensor("w", {32}, 16, 0).with_data(64); }),
                "w in one of the types F32, F16, Q4_0"},
        BadGguf{"KnownTensorType", with([](auto& b) { b.tensor("w", {256}, 16, 0).with_data(64); }),
                "got IQ2_XXS (type number 16)"},
        BadGguf{"NewTensorType", with([](auto& b) { b.tensor("w", {256}, 99, 0).with_data(64); }),
                "got type number 99"},
        BadGguf{"NameUnprintable", with([](auto& b) { b.tensor("w\n", {1}, kF32, 0); }),
                "tensor names of 1 to 255 printable"},
        BadGguf{"NameTwice", with([](auto& b) {
                  b.tensor("w", {8}, kF32, 0).tensor("w", {8}, kF32, 32).with_data(64);
                }),
                "each tensor once, got w twice"},
        BadGguf{"FiveDimensions", with([](auto& b) {
                  b.tensor("w", {1, 1, 1, 1, 1}, kF32, 0).with_data(4);
                }),
                "at most 4 dimensions, got 5"},
        BadGguf{"Extent2To63",
                with([](auto& b) { b.tensor("w", {1ull << 63}, kF32, 0).with_data(4); }),
                "below 2^63"},
        BadGguf{"ProductOverflows", with([](auto& b) {
                  b.tensor("w", {1ull << 40, 1ull << 40}, kF32, 0);
                }),
                "a shape whose product fits"},
        BadGguf{"BytesOverflow", with([](auto& b) { b.tensor("w", {1ull << 62}, kF32, 0); }),
                "to fit the file"},
        BadGguf{"RowsOfPartialBlocks", with([](auto& b) {
                  b.tensor("w", {33, 32}, kQ8, 0).with_data(2000);
                }),
                "multiple of the 32 elements of a Q8_0 block, got shape [32, 33]"},
        BadGguf{"OffsetBehindTheEnd",
                with([](auto& b) { b.tensor("w", {8}, kF32, 64).with_data(32); }),
                "w within 32 bytes of data, got 32 bytes at offset 64"},
        BadGguf{"OffsetNearlyOverflows",
                with([](auto& b) { b.tensor("w", {8}, kF32, ~0ull - 31).with_data(32); }),
                "w within 32 bytes of data"},
        BadGguf{"Unaligned", with([](auto& b) { b.tensor("w", {1}, kF32, 4).with_data(32); }),
                "w at a multiple of 32 bytes, got 4"},
        BadGguf{"Truncated", with([](auto& b) { b.tensor("w", {8}, kF32, 0).with_data(31); }),
                "within 31 bytes of data, got 32"},
        BadGguf{"Overlap", with([](auto& b) {
                  b.tensor("v", {16}, kF32, 0).tensor("w", {8}, kF32, 32).with_data(64);
                }),
                "do not overlap, got w at offset 32 while another ends at 64"},
        BadGguf{"AlignmentZero",
                with([](auto& b) { b.pair("general.alignment", kU32, bytes_of(0u)); }),
                "power of two of at most 2^20, got 0"},
        BadGguf{"AlignmentOdd",
                with([](auto& b) { b.pair("general.alignment", kU32, bytes_of(48u)); }),
                "general.alignment] expected a power of two"}),
    [](const auto& case_info) { return case_info.param.name; });

TEST(Gguf, HostileFilesCostLittleMemory) {
  const auto peak_kib = [] {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
  };
  const TemporaryDirectory directory;
  const long before = peak_kib();
  for (const auto& bytes :
       {with([](auto& b) { b.lie_about_tensors = 1ull << 63; }),
        with([](auto& b) { b.lie_about_pairs = 1ull << 63; }),
        with([](auto& b) { b.pair("a", kString, bytes_of(std::uint64_t{1} << 60)); }),
        with([](auto& b) { b.pair("a", kArray, array_of(kString, 1ull << 60)); }),
        with([](auto& b) { b.tensor("w", {1ull << 61}, kF32, 0); })}) {
    EXPECT_NE(error_of([&] { open_gguf(directory.write("bad.gguf", bytes)); }), "no error");
  }
  EXPECT_LT(peak_kib() - before, 64 * 1024);
}

Builder part(std::uint16_t number, std::uint16_t count, std::string_view tensor) {
  Builder builder;
  builder.pair("split.no", 2, bytes_of(number)).pair("split.count", 2, bytes_of(count));
  return builder.tensor(tensor, {8}, kF32, 0).with_data(32);
}

TEST(GgufParts, NameEveryMissingOne) {
  const TemporaryDirectory directory;
  const auto first = directory.write("m-00001-of-00003.gguf", part(0, 3, "a").bytes());
  EXPECT_THAT(error_of([&] { open_gguf(first); }),
              HasSubstr("expected 3 parts, got 1; missing: m-00002-of-00003.gguf, m-00003-of"));
}

TEST(GgufParts, MustFitTogether) {
  const TemporaryDirectory directory;
  const auto first = directory.write("m-00001-of-00002.gguf", part(0, 2, "a").bytes());
  const auto second = directory.write("m-00002-of-00002.gguf", part(1, 2, "b").bytes());
  EXPECT_EQ(open_gguf(first)->tensors().size(), 2u);
  EXPECT_THAT(error_of([&] { open_gguf(second); }),
              HasSubstr("expected the first part of a split model, got part 2 of 2"));
  directory.write("m-00002-of-00002.gguf", part(1, 2, "a").bytes());
  EXPECT_THAT(error_of([&] { open_gguf(first); }), HasSubstr("got a twice"));
  directory.write("m-00002-of-00002.gguf", part(0, 2, "b").bytes());
  EXPECT_THAT(error_of([&] { open_gguf(first); }), HasSubstr("part 2 of 2, got part 1 of 2"));
  const auto renamed = directory.write("model.gguf", part(0, 2, "a").bytes());
  EXPECT_THAT(error_of([&] { open_gguf(renamed); }), HasSubstr("-00001-of-00002.gguf, got model"));
}

}  // namespace
}  // namespace massact
