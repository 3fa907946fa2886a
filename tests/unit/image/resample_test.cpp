#include "massact/image/resample.h"

#include "unit/image/image_test.h"

namespace massact {
namespace {

using image_test::images_folder;

TEST(Resize, IsPilsToTheByte) {
  const auto golden = open_safetensors(images_folder() / "resize.safetensors");
  const Image input = image_test::golden_image(*golden, "input");
  int cases = 0;
  for (const TensorInfo& tensor : golden->tensors()) {
    const std::size_t slash = tensor.name.find('/');
    if (slash == std::string::npos) continue;
    const Filter filter = filter_of_name(tensor.name.substr(0, slash), "test");
    const Image expected = image_test::golden_image(*golden, tensor.name);
    const Image image = resize(input, expected.width, expected.height, filter);
    EXPECT_EQ(image.rgb, expected.rgb) << tensor.name;
    ++cases;
  }
  EXPECT_EQ(cases, 30);
}

// 1/255 on 99.9 % of the pixels of the shared photographs (every 23rd was recorded).
TEST(Resize, OfPhotographsIsPils) {
  const auto folder = testing_support::shared_data() / "images/skimage";
  SKIP_WITHOUT(folder);
  const auto golden = open_safetensors(images_folder() / "photographs.safetensors");
  for (const TensorInfo& tensor : golden->tensors()) {
    const std::size_t slash = tensor.name.find('/');
    const Image photograph = read_image(folder / tensor.name.substr(0, slash));
    const Filter filter = filter_of_name(tensor.name.substr(slash + 1), "test");
    const Image image = resize(photograph, 224, 224, filter);
    const TensorView expected = golden->view(tensor.name);
    const std::int64_t pixels = expected.shape[0];
    std::int64_t far = 0;
    for (std::int64_t i = 0; i < pixels; ++i) {
      int largest = 0;
      for (std::int64_t c = 0; c < 3; ++c) {
        const auto value = static_cast<std::uint8_t>(expected.data[3 * i + c]);
        largest = std::max(largest, image_test::difference(image.rgb[3 * 23 * i + c], value));
      }
      far += largest > 1;
    }
    EXPECT_LE(static_cast<double>(far), 0.001 * static_cast<double>(pixels)) << tensor.name;
  }
}

TEST(Resize, RefusesWhatMakesNoSense) {
  const Image image(4, 4);
  EXPECT_THROW(resize(image, 0, 4, Filter::bicubic), Error);
  EXPECT_THROW(resize(Image(1, 1'000'000), 1000, 1'000'000, Filter::bicubic), Error);
  EXPECT_THROW(filter_of_number(0, "resample"), Error);
  EXPECT_THROW(filter_of_name("nearest", "interpolation"), Error);
  EXPECT_EQ(filter_of_number(3, "resample"), Filter::bicubic);
}

}  // namespace
}  // namespace massact
