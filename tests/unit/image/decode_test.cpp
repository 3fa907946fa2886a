#include "massact/image/decode.h"

#include "unit/image/image_test.h"

namespace massact {
namespace {

using image_test::images_folder;
using io_test::error_of;
using testing::HasSubstr;

std::string read_file(const std::string& name) {
  return io_test::read_all(images_folder() / "files" / name);
}

Image decode(const std::string& bytes, const std::string& where = "picture") {
  return decode_image(std::as_bytes(std::span(bytes)), where);
}

class Decode : public testing::TestWithParam<std::string> {};

TEST_P(Decode, IsWhatPilReads) {
  const auto golden = open_safetensors(images_folder() / "files.safetensors");
  const Image expected = image_test::golden_image(*golden, GetParam());
  const Image image = read_image(images_folder() / "files" / GetParam());
  ASSERT_EQ(image.width, expected.width);
  ASSERT_EQ(image.height, expected.height);
  // Lossy formats leave versions of a library a rounding.
  const bool lossless = GetParam().ends_with(".png") || GetParam() == "lossless.webp" ||
                        GetParam() == "alpha.webp" || GetParam() == "turned.webp";
  EXPECT_LE(image_test::largest_difference(image, expected), lossless ? 0 : 1);
}

std::vector<std::string> golden_names() {
  std::vector<std::string> names;
  const auto golden = open_safetensors(images_folder() / "files.safetensors");
  for (const TensorInfo& tensor : golden->tensors()) names.push_back(tensor.name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Files, Decode, testing::ValuesIn(golden_names()),
                         [](const auto& case_info) {
                           std::string name = case_info.param;
                           for (char& c : name) {
                             if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
                           }
                           return name;
                         });

TEST(DecodeFormat, ComesFromTheContent) {
  io_test::TemporaryDirectory folder;
  const auto path = folder.write("really-a-jpeg.png", read_file("rgb.jpg"));
  EXPECT_EQ(read_image(path).width, 37);
}

TEST(DecodeBad, EveryTruncationIsAnError) {
  for (const char* name : {"rgb.jpg", "progressive.jpg", "cmyk.jpg", "rgb.png", "interlaced.png",
                           "palette.png", "lossy.webp", "lossless.webp"}) {
    const std::string whole = read_file(name);
    for (std::size_t size = 0; size < whole.size() * 9 / 10; size += 7) {
      EXPECT_THROW(decode(whole.substr(0, size)), Error) << name << " cut to " << size;
    }
    EXPECT_THAT(error_of([&] { decode(whole.substr(0, whole.size() / 2), "cut.bin"); }),
                HasSubstr("[cut.bin]"));
  }
}

TEST(DecodeBad, UnknownAndEmptyFiles) {
  io_test::TemporaryDirectory folder;
  EXPECT_THAT(error_of([&] { read_image(folder.write("a.jpg", "")); }), HasSubstr("a.jpg"));
  EXPECT_THAT(error_of([&] { read_image(folder.write("b.png", "GIF89a, honestly")); }),
              HasSubstr("expected a JPEG, PNG or WebP image"));
  EXPECT_THROW(read_image(folder / "missing.png"), Error);
}

TEST(DecodeBad, AnimatedWebp) {
  EXPECT_THAT(error_of([] { decode(read_file("animated.webp")); }), HasSubstr("animated"));
}

// The PNG with another size in its header, and the checksum right again.
std::string with_size(std::string png, std::uint32_t width, std::uint32_t height) {
  constexpr std::size_t kName = 12, kWidth = 16, kHeight = 20, kChecksum = 29;  // of IHDR
  const auto put = [&](std::size_t at, std::uint32_t value) {
    for (int i = 0; i < 4; ++i) png[at + i] = static_cast<char>(value >> (24 - 8 * i));
  };
  put(kWidth, width);
  put(kHeight, height);
  std::uint32_t crc = 0xffffffff;
  for (std::size_t i = kName; i < kChecksum; ++i) {
    crc ^= static_cast<unsigned char>(png[i]);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) ? 0xedb88320u : 0u);
  }
  put(kChecksum, ~crc);
  return png;
}

TEST(DecodeBad, HugeHeaders) {
  EXPECT_THAT(error_of([] { decode(with_size(read_file("rgb.png"), 60'000, 60'000)); }),
              HasSubstr("60000 x 60000 pixels"));

  std::string jpeg = read_file("rgb.jpg");
  const std::size_t frame = jpeg.find("\xff\xc0");
  ASSERT_NE(frame, std::string::npos);
  jpeg.replace(frame + 5, 4, "\xea\x60\xea\x60");
  EXPECT_THAT(error_of([&] { decode(jpeg); }), HasSubstr("60000 x 60000 pixels"));
}

TEST(DecodeBad, PngChunksLongerThanTheFile) {
  const std::string whole = read_file("rgb.png");
  EXPECT_NO_THROW(decode(whole + "what follows the end does not matter"));
  std::string png = whole;
  png.replace(33, 8, "RIFFeXIf");  // the chunk behind IHDR: 1.4 GB of Exif data
  EXPECT_THAT(error_of([&] { decode(png); }), HasSubstr("a chunk of 1380533830 bytes"));
}

// Within the limit, but half a kilobyte cannot hold it.
TEST(DecodeBad, MorePixelsThanTheFileCanHold) {
  EXPECT_THAT(error_of([] { decode(with_size(read_file("grey.png"), 12'000, 12'000)); }),
              HasSubstr("truncated?"));
}

TEST(DecodeBad, LimitOfPixels) {
  const std::string bytes = read_file("rgb.png");
  const auto with_limit = [&](std::int64_t limit) {
    return decode_image(std::as_bytes(std::span(bytes)), "picture", limit);
  };
  EXPECT_EQ(with_limit(37 * 23).height, 23);
  EXPECT_THROW(with_limit(37 * 23 - 1), Error);
}

}  // namespace
}  // namespace massact
