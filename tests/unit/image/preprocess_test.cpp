#include "massact/image/preprocess.h"

#include "unit/image/image_test.h"

namespace massact {
namespace {

namespace fs = std::filesystem;
using image_test::images_folder;
using io_test::error_of;
using testing::HasSubstr;

class Processors : public testing::TestWithParam<std::string> {};

TEST_P(Processors, GiveTheSamePixels) {
  const Preprocess steps = read_preprocess(images_folder() / "preprocess" / GetParam());
  const auto golden = open_safetensors(images_folder() / "preprocess.safetensors");
  for (const char* picture : {"landscape", "portrait", "small"}) {
    const std::string name = GetParam() + "/" + picture;
    const Tensor expected = to_float_tensor(golden->view(name));
    ASSERT_EQ(expected.shape()[1], steps.output().height) << name;
    ASSERT_EQ(expected.shape()[2], steps.output().width) << name;
    std::vector<float> pixels(expected.floats().size());
    preprocess_image(read_image(images_folder() / (std::string(picture) + ".png")), steps, pixels);
    for (std::size_t i = 0; i < pixels.size(); ++i) {
      ASSERT_NEAR(pixels[i], expected.floats()[i], 1e-6) << name << " at " << i;
    }
  }
}

std::vector<std::string> processor_names() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(images_folder() / "preprocess")) {
    names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

INSTANTIATE_TEST_SUITE_P(All, Processors, testing::ValuesIn(processor_names()),
                         [](const auto& case_info) {
                           std::string name = case_info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

class Configurations : public testing::Test {
 protected:
  Preprocess read(std::string_view json, std::string_view file = "preprocessor_config.json") {
    folder_.write(file, json);
    return read_preprocess(folder_.path());
  }
  std::string error(std::string_view json) {
    return error_of([&] { read(json); });
  }
  io_test::TemporaryDirectory folder_;
};

TEST_F(Configurations, MissingFieldsAreTheClasssOwn) {
  const Preprocess clip = read(R"({"image_processor_type": "CLIPImageProcessorFast"})");
  EXPECT_EQ(clip.resize, Preprocess::Resize::shortest_edge);
  EXPECT_EQ(clip.output(), (PixelSize{224, 224}));
  EXPECT_DOUBLE_EQ(clip.mean[0], 0.48145466);
  const Preprocess vit = read(R"({"image_processor_type": "ViTImageProcessor", "size": 32})");
  EXPECT_EQ(vit.resize, Preprocess::Resize::exact);
  EXPECT_EQ(vit.output(), (PixelSize{32, 32}));
  EXPECT_DOUBLE_EQ(vit.mean[0], 0.5);
  const Preprocess sam = read(R"({"image_processor_type": "SamImageProcessor"})");
  EXPECT_EQ(sam.output(), (PixelSize{1024, 1024}));
}

TEST_F(Configurations, ProcessorConfigHoldsTheImageProcessor) {
  const Preprocess steps = read(
      R"({"image_processor": {"image_processor_type": "SiglipImageProcessor",
                              "size": {"height": 40, "width": 48}}})",
      "processor_config.json");
  EXPECT_EQ(steps.output(), (PixelSize{40, 48}));
}

TEST_F(Configurations, OpenClip) {
  const Preprocess steps = read(R"({"model_cfg": {"vision_cfg": {"image_size": 64}},
      "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5],
                         "interpolation": "bilinear", "resize_mode": "squash"}})",
                                "open_clip_config.json");
  EXPECT_EQ(steps.output(), (PixelSize{64, 64}));
  EXPECT_EQ(steps.filter, Filter::bilinear);
  EXPECT_EQ(steps.resize, Preprocess::Resize::exact);
}

TEST_F(Configurations, WrongFieldsAreNamed) {
  EXPECT_THAT(error(R"({"resample": 0})"), HasSubstr("resample"));
  EXPECT_THAT(error(R"({"size": {"shortest_edge": 20}})"), HasSubstr("one size"));
  EXPECT_THAT(error(R"({"do_resize": false})"), HasSubstr("one size"));
  EXPECT_THAT(error(R"({"size": -4})"), HasSubstr("size"));
  EXPECT_THAT(error(R"({"size": 400000})"), HasSubstr("16384"));
  EXPECT_THAT(error(R"({"image_std": [0, 1, 1]})"), HasSubstr("image_std"));
  EXPECT_THAT(error(R"({"image_mean": [0.5]})"), HasSubstr("3 numbers"));
  EXPECT_THAT(error_of([] { read_preprocess(images_folder() / "files"); }),
              HasSubstr("preprocessor_config.json"));
}

TEST_F(Configurations, ExtremeProportionsAreRefused) {
  const Preprocess steps =
      read(R"({"image_processor_type": "CLIPImageProcessor", "size": 224, "crop_size": 224})");
  std::vector<float> pixels(3 * 224 * 224);
  EXPECT_THAT(error_of([&] { preprocess_image(Image(100'000, 1), steps, pixels); }),
              HasSubstr("sides"));
}

}  // namespace
}  // namespace massact
