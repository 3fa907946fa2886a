#include "massact/tensor/tensor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "massact/base/error.h"

namespace massact {
namespace {

TEST(DType, EveryHalfSurvivesTheRoundTrip) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const Float16 half{static_cast<std::uint16_t>(bits)};
    const float value = to_float(half);
    if (std::isnan(value)) continue;
    ASSERT_EQ(to_float16(value).bits, half.bits) << bits;
    const BFloat16 brain{static_cast<std::uint16_t>(bits)};
    if (!std::isnan(to_float(brain))) {
      ASSERT_EQ(to_bfloat16(to_float(brain)).bits, brain.bits) << bits;
    }
  }
}

TEST(DType, RoundsToNearestEven) {
  EXPECT_EQ(to_float(to_bfloat16(1.0f + 0x1p-8f)), 1.0f);
  EXPECT_EQ(to_float(to_bfloat16(1.0f + 3 * 0x1p-8f)), 1.0f + 0x1p-6f);
  EXPECT_EQ(to_float(to_float16(1.0f + 0x1p-11f)), 1.0f);
  EXPECT_TRUE(std::isinf(to_float(to_float16(70000.0f))));
  EXPECT_EQ(to_float(to_float16(65519.0f)), 65504.0f);
  EXPECT_TRUE(std::isinf(to_float(to_float16(65520.0f))));
  EXPECT_TRUE(std::isnan(to_float(to_bfloat16(std::numeric_limits<float>::quiet_NaN()))));
}

TEST(Shape, CountsAndRefusesOverflow) {
  EXPECT_EQ((Shape{2, 3}).element_count(), 6);
  EXPECT_EQ(Shape{}.element_count(), 1);
  EXPECT_EQ((Shape{std::int64_t{1} << 40, 0}).element_count(), 0);
  EXPECT_THROW((Shape{std::int64_t{1} << 40, std::int64_t{1} << 40}).element_count(), Error);
  EXPECT_THROW((Shape{-1}).element_count(), Error);
  EXPECT_EQ((Shape{2, 3}).to_string(), "[2, 3]");
}

TEST(Tensor, ReadsUnalignedBfloat16) {
  std::vector<std::byte> bytes(7);
  const BFloat16 values[3] = {to_bfloat16(1.5f), to_bfloat16(-2.0f), to_bfloat16(256.0f)};
  std::memcpy(bytes.data() + 1, values, 6);
  const TensorView view{DType::bf16, {3}, bytes.data() + 1};
  float out[2];
  read_floats(view, 1, 2, out);
  EXPECT_EQ(out[0], -2.0f);
  EXPECT_EQ(out[1], 256.0f);
}

}  // namespace
}  // namespace massact
