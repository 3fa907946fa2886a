// The procedural images: what they show, and that they depend on seed and number only.
#include "train/procedural.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <queue>

#include "massact/base/error.h"

namespace massact::train {
namespace {

constexpr std::int64_t kSize = 64;

const std::string& name(const ProceduralImage& image) {
  return procedural_labels().at(static_cast<std::size_t>(image.label));
}

/// Connected regions, of at least `smallest` pixels, that differ from the image's corner.
int regions(const ProceduralImage& image, int smallest) {
  const auto differs = [&](std::int64_t at) {
    int total = 0;
    for (std::int64_t c = 0; c < 3; ++c) {
      total +=
          std::abs(int(image.pixels[std::size_t(3 * at + c)]) - int(image.pixels[std::size_t(c)]));
    }
    return total > 130;
  };
  std::vector<bool> seen(std::size_t(kSize * kSize));
  int found = 0;
  for (std::int64_t start = 0; start < kSize * kSize; ++start) {
    if (seen[std::size_t(start)] || !differs(start)) continue;
    int pixels = 0;
    std::queue<std::int64_t> next({start});
    seen[std::size_t(start)] = true;
    while (!next.empty()) {
      const std::int64_t at = next.front();
      next.pop();
      ++pixels;
      const std::int64_t x = at % kSize, y = at / kSize;
      for (const auto& [dx, dy] : {std::pair{1, 0}, {-1, 0}, {0, 1}, {0, -1}}) {
        const std::int64_t other = at + dx + dy * kSize;
        if (x + dx < 0 || x + dx >= kSize || y + dy < 0 || y + dy >= kSize) continue;
        if (seen[std::size_t(other)] || !differs(other)) continue;
        seen[std::size_t(other)] = true;
        next.push(other);
      }
    }
    found += pixels >= smallest;
  }
  return found;
}

TEST(ProceduralImages, DependOnSeedAndNumberOnly) {
  const auto image = draw_image(3, 17, 32);
  EXPECT_EQ(image.pixels.size(), 32u * 32 * 3);
  EXPECT_EQ(draw_image(3, 17, 32).pixels, image.pixels);
  EXPECT_NE(draw_image(4, 17, 32).pixels, image.pixels);
  EXPECT_NE(draw_image(3, 18, 32).pixels, image.pixels);
  // The same picture at another size.
  EXPECT_EQ(draw_image(3, 17, 48).label, image.label);
}

TEST(ProceduralImages, EveryClassIsAboutAsFrequent) {
  std::map<std::int64_t, int> count;
  for (std::int64_t i = 0; i < 3200; ++i) ++count[draw_image(1, i, kMinImageSize).label];
  ASSERT_EQ(count.size(), procedural_labels().size());
  for (const auto& [label, n] : count) EXPECT_NEAR(n, 200, 70) << label;
}

// Readers of image folders number the classes by name.
TEST(ProceduralImages, LabelsAreSorted) {
  EXPECT_EQ(procedural_labels().size(), 16u);
  EXPECT_TRUE(std::is_sorted(procedural_labels().begin(), procedural_labels().end()));
}

// The label says how many figures there are: counted in the pixels of most images (some colours are
// near each other, some textures are not faint enough to be told apart this simply).
TEST(ProceduralImages, ShowAsManyFiguresAsTheirLabelSays) {
  int agreeing = 0, images = 0, plain = 0, noises = 0;
  for (std::int64_t i = 0; i < 400; ++i) {
    const auto image = draw_image(2, i, kSize);
    const int found = regions(image, 20);
    if (name(image) == "noise") {
      plain += found == 0;
      ++noises;
    } else if (name(image).find('-') != std::string::npos) {
      agreeing += found == name(image).back() - '0';
      ++images;
    }
  }
  ASSERT_GT(images, 200);
  ASSERT_GT(noises, 10);
  EXPECT_GT(agreeing, images * 8 / 10);
  EXPECT_EQ(plain, noises);
}

TEST(ProceduralImages, RefuseImpossibleSizes) {
  EXPECT_THROW(draw_image(1, 1, kMinImageSize - 1), UsageError);
  EXPECT_THROW(draw_image(1, 1, kMaxImageSize + 1), UsageError);
}

}  // namespace
}  // namespace massact::train
