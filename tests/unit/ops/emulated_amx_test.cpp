// The tests of products and attention in bf16, on emulated AMX (emulated_amx.h).
#include <gtest/gtest.h>

#include "massact/ops/cpu/features.h"
#include "massact/ops/matmul.h"
#include "unit/ops/emulated_amx.h"
#include "unit/ops/support.h"

namespace massact::ops {
namespace {

// Else the other tests would pass without it.
TEST(EmulatedAmx, IsWhatMultiplies) {
  if (cpu_level() != CpuLevel::amx) GTEST_SKIP() << "this CPU has no AVX512-BF16 to pack with";
  Threads threads(1);
  const test::Matrix x = test::random_matrix(40, 70, 1), w = test::random_matrix(50, 70, 2);
  const WeightSlice slice{DType::f32, reinterpret_cast<const std::byte*>(w.data.data()), 50, 70, 70,
                          1};
  const PackedMatrix packed = PackedMatrix::pack({&slice, 1}, Precision::bf16, threads);
  test::Matrix y(40, 50);
  const long before = emulated_amx::products;
  matmul(x.view(), packed, y.view(), threads);
  EXPECT_GT(emulated_amx::products, before);
}

}  // namespace
}  // namespace massact::ops
