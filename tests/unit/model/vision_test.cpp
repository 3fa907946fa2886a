// The stem of vision transformers: patches against a plain loop, positions against PyTorch's
// bicubic resampling (tools/golden/make_vision.py).
#include <gtest/gtest.h>

#include "massact/io/safetensors.h"
#include "massact/model/image_embedding.h"
#include "massact/model/position_grid.h"
#include "paths.h"

namespace massact {
namespace {

using namespace testing_support;

TEST(UnfoldPatches, ValuesLieAsInAConvolutionsKernel) {
  VisionConfig vision;
  vision.channels = 2;
  vision.patch_height = 3;
  vision.patch_width = 2;
  constexpr std::int64_t kHeight = 7, kWidth = 9;  // one line and one column are left over
  std::vector<float> pixels(2 * kHeight * kWidth);
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<float>(i);
  const PatchGrid grid = vision.grid_of(kHeight, kWidth);
  ASSERT_EQ(grid, (PatchGrid{2, 4}));
  std::vector<float> values(static_cast<std::size_t>(grid.count() * vision.patch_values()));
  const FloatMatrix patches(values.data(), grid.count(), vision.patch_values());
  unfold_patches(pixels, kHeight, kWidth, vision, patches);
  for (std::int64_t row = 0; row < 2; ++row) {
    for (std::int64_t column = 0; column < 4; ++column) {
      std::int64_t at = 0;
      for (std::int64_t channel = 0; channel < 2; ++channel) {
        for (std::int64_t y = 0; y < 3; ++y) {
          for (std::int64_t x = 0; x < 2; ++x, ++at) {
            const std::int64_t pixel = (channel * kHeight + row * 3 + y) * kWidth + column * 2 + x;
            EXPECT_EQ(patches(row * 4 + column, at), static_cast<float>(pixel));
          }
        }
      }
    }
  }
}

TEST(ResizePositions, AsPyTorchDoes) {
  const auto golden = open_safetensors(golden_folder() / "positions/positions.safetensors");
  int compared = 0;
  for (const TensorInfo& info : golden->tensors()) {
    const auto slash = info.name.find('/');
    const std::string kind = info.name.substr(slash + 1);
    if (kind == "table") continue;
    const Tensor table = to_float_tensor(golden->view(info.name.substr(0, slash) + "/table"));
    const Tensor expected = to_float_tensor(golden->view(info.name));
    const auto got = resize_positions(
        table.floats(), {table.shape()[0], table.shape()[1]}, {info.shape[0], info.shape[1]},
        info.shape[2],
        kind == "plain" ? PositionResize::bicubic : PositionResize::bicubic_antialias);
    ASSERT_EQ(got.size(), expected.floats().size());
    for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected.floats()[i], 1e-5);
    ++compared;
  }
  EXPECT_EQ(compared, 6);
}

}  // namespace
}  // namespace massact
