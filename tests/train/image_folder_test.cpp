// The procedural images as PNG files.
#include "train/image_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <png.h>

#include "helpers.h"
#include "massact/base/error.h"

namespace massact::train {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

const auto quiet = [](const std::string&) {};

std::vector<std::uint8_t> read_png(const fs::path& path, std::int64_t size) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  EXPECT_NE(png_image_begin_read_from_file(&png, path.c_str()), 0) << path << png.message;
  EXPECT_EQ(png.width, std::uint32_t(size));
  EXPECT_EQ(png.height, std::uint32_t(size));
  png.format = PNG_FORMAT_RGB;
  std::vector<std::uint8_t> pixels(PNG_IMAGE_SIZE(png));
  EXPECT_NE(png_image_finish_read(&png, nullptr, pixels.data(), 0, nullptr), 0);
  return pixels;
}

TEST(ImageFolder, HoldsTheImagesUnderTheirLabels) {
  const TemporaryFolder folder;
  ImageFolderOptions o;
  o.out = folder / "images";
  o.count = 30;
  o.first = 7;
  o.size = 24;
  write_image_folder(o, quiet);
  for (std::int64_t number = 7; number < 37; ++number) {
    const auto image = draw_image(kHeldOutSeed, number, 24);
    const auto& label = procedural_labels()[std::size_t(image.label)];
    EXPECT_EQ(read_png(o.out / label / fmt::format("{:06d}.png", number), 24), image.pixels);
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(o.out), {}), std::ptrdiff_t(16));
  const auto files = std::count_if(fs::recursive_directory_iterator(o.out), {},
                                   [](const auto& entry) { return entry.is_regular_file(); });
  EXPECT_EQ(files, 30);
}

TEST(ImageFolder, RefusesImpossibleNumbersAndFullFolders) {
  const TemporaryFolder folder;
  const auto refusal = [&](const auto& change) -> std::string {
    ImageFolderOptions o;
    o.out = folder / "images";
    o.count = 1;
    change(o);
    try {
      write_image_folder(o, quiet);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_THAT(refusal([](auto& o) { o.count = 0; }), HasSubstr("--count"));
  EXPECT_THAT(refusal([](auto& o) { o.first = -1; }), HasSubstr("--first"));
  EXPECT_THAT(refusal([](auto& o) { o.first = kHeldOutImages; }), HasSubstr("--first"));
  EXPECT_THAT(refusal([](auto& o) { o.size = 4; }), HasSubstr("--image-size"));
  EXPECT_FALSE(fs::exists(folder / "images"));
  EXPECT_EQ(refusal([](auto&) {}), "no error");
  EXPECT_THAT(refusal([](auto&) {}), HasSubstr("empty folder"));
}

}  // namespace
}  // namespace massact::train
