#include "massact/ops/matmul.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>

#include "massact/base/error.h"
#include "massact/ops/cpu/features.h"
#include "massact/ops/elementwise.h"
#include "massact/ops/packed_memory.h"
#include "massact/ops/ref/ops.h"
#include "unit/ops/support.h"

namespace {
std::atomic<int> openmp_teams{0};
}

// Stands in for libgomp's: oneDNN must never open a team of its own (it would fight with our
// threads, and ThreadSanitizer cannot see its barriers).
extern "C" void GOMP_parallel(void (*body)(void*), void* data, unsigned, unsigned) {
  ++openmp_teams;
  body(data);
}

namespace massact::ops {
namespace {

using test::Matrix;
using test::random_matrix;

struct MatmulCase {
  std::int64_t m, n, k;
  Precision precision;
  CpuLevel level = CpuLevel::amx;  // what the CPU has, up to this
};

std::string case_name(const testing::TestParamInfo<MatmulCase>& info) {
  const MatmulCase& c = info.param;
  const std::string cap = c.level == CpuLevel::amx ? "" : fmt::format("_{}", name_of(c.level));
  return fmt::format("{}_m{}_n{}_k{}{}", name_of(c.precision), c.m, c.n, c.k, cap);
}

std::vector<MatmulCase> cases() {
  std::vector<MatmulCase> result;
  for (const Precision precision : {Precision::f32, Precision::bf16, Precision::int8}) {
    for (const auto& [m, n, k] : std::vector<std::array<std::int64_t, 3>>{{1, 1, 1},
                                                                          {1, 7, 3},
                                                                          {3, 172, 64},
                                                                          {17, 33, 31},
                                                                          {64, 64, 64},
                                                                          {65, 16, 288},
                                                                          {130, 100, 77},
                                                                          {200, 512, 64},
                                                                          {300, 65, 1001},
                                                                          {257, 1030, 129},
                                                                          {33, 40, 4100},
                                                                          {515, 96, 768}}) {
      result.push_back({m, n, k, precision});
      // bf16 has a kernel per level: those below the CPU's own are tried too.
      if (precision != Precision::bf16) continue;
      for (const CpuLevel level : {CpuLevel::avx512_bf16, CpuLevel::avx512}) {
        result.push_back({m, n, k, precision, level});
      }
    }
  }
  return result;
}

WeightSlice slice_of(const Matrix& w) {
  return {DType::f32, reinterpret_cast<const std::byte*>(w.data.data()), w.rows, w.cols, w.stride,
          1};
}

Matrix rounded_to_bf16(Matrix m) {
  for (float& x : m.data) x = to_float(to_bfloat16(x));
  return m;
}

// Each row scaled to ±127 and rounded: int8's levels times the scale, as floats.
Matrix rounded_to_int8(Matrix m) {
  for (std::int64_t r = 0; r < m.rows; ++r) {
    float largest = 0;
    for (std::int64_t c = 0; c < m.cols; ++c) largest = std::max(largest, std::abs(m.row(r)[c]));
    const float scale = largest / 127.0f;
    for (std::int64_t c = 0; c < m.cols; ++c) {
      m.row(r)[c] = std::nearbyint(m.row(r)[c] / scale) * scale;
    }
  }
  return m;
}

Matrix rounded_to(Precision precision, const Matrix& m) {
  if (precision == Precision::f32) return m;
  return precision == Precision::bf16 ? rounded_to_bf16(m) : rounded_to_int8(m);
}

class MatmulTest : public testing::TestWithParam<MatmulCase> {
 protected:
  MatmulTest() : x_(random_matrix(p_.m, p_.k, 1)), w_(random_matrix(p_.n, p_.k, 2, 5)) {
    limit_cpu_level(p_.level);
  }
  ~MatmulTest() override { limit_cpu_level(CpuLevel::amx); }

  void SetUp() override {
    const bool missing = p_.level != CpuLevel::amx && cpu_level() < p_.level;
    if (missing) GTEST_SKIP() << "this CPU has no " << name_of(p_.level);
  }

  PackedMatrix pack() {
    const WeightSlice slice = slice_of(w_);
    return PackedMatrix::pack({&slice, 1}, p_.precision, threads_);
  }

  MatmulCase p_ = GetParam();
  Threads threads_{2};
  Matrix x_, w_;
};

TEST_P(MatmulTest, AgreesWithReference) {
  x_.row(p_.m - 1)[p_.k / 2] = 3000.0f;  // a massive activation
  Matrix y(p_.m, p_.n, 3), expected(p_.m, p_.n);
  matmul(x_.view(), pack(), y.view(), threads_);
  const Matrix x = rounded_to(p_.precision, x_), w = rounded_to(p_.precision, w_);
  ref::matmul(x.view(), w.view(), expected.view());
  // f32 accumulation: k roundings of partial sums that grow like sqrt(k).
  const double absolute = 5e-8 * static_cast<double>(p_.k) + 1e-6;
  for (std::int64_t r = 0; r < p_.m; ++r) {
    const bool massive = r == p_.m - 1;
    for (std::int64_t c = 0; c < p_.n; ++c) {
      ASSERT_NEAR(y.row(r)[c], expected.row(r)[c], absolute * (massive ? 3000 : 4))
          << r << ", " << c;
    }
  }
}

TEST_P(MatmulTest, RowsDoNotDependOnOthers) {
  const PackedMatrix w = pack();
  Matrix all(p_.m, p_.n);
  matmul(x_.view(), w, all.view(), threads_);
  for (const std::int64_t count :
       {1, 2, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 100, 128, 129, 240, 256, 257, 300, 514}) {
    if (count > p_.m) break;
    const std::int64_t first = (p_.m - count) / 2;
    Matrix part(count, p_.n, 1);
    matmul(x_.view().slice_rows(first, count), w, part.view(), threads_);
    for (std::int64_t r = 0; r < count; ++r) {
      ASSERT_TRUE(test::same_bits(part.row(r), all.row(first + r), p_.n))
          << count << " rows, row " << r;
    }
  }
}

TEST_P(MatmulTest, BitsDoNotDependOnThreadsOrStride) {
  const PackedMatrix w = pack();
  Matrix expected(p_.m, p_.n);
  matmul(x_.view(), w, expected.view(), threads_);
  Matrix wide(p_.m, p_.k, 9);
  for (std::int64_t r = 0; r < p_.m; ++r) std::copy_n(x_.row(r), p_.k, wide.row(r));
  for (const int count : {1, 3}) {
    Threads threads(count);
    Matrix y(p_.m, p_.n, 7);
    matmul(wide.view(), w, y.view(), threads);
    test::expect_same_bits(y, expected);
  }
}

// norm, product, bias, activation, scale and residual in one call have the bits of one call for
// each.
TEST_P(MatmulTest, FusedStepsHaveTheBitsOfSeparateOnes) {
  const PackedMatrix w = pack();
  const Matrix norm_weight = random_matrix(1, p_.k, 3), bias = random_matrix(1, p_.n, 4);
  const Matrix residual = random_matrix(p_.m, p_.n, 5, 2);
  const NormOptions norm_options = {.subtract_mean = true, .weight = norm_weight.data};
  Matrix normed(p_.m, p_.k), product(p_.m, p_.n), expected(p_.m, p_.n);
  norm(x_.view(), norm_options, {.out = normed.view()}, threads_);
  matmul(normed.view(), w, product.view(), threads_);
  add_bias(product.view(), bias.data, threads_);
  activate(product.view(), Activation::gelu_tanh, product.view(), threads_);
  Matrix activated(p_.m, p_.n);
  MatmulOptions options = {
      .norm = &norm_options, .bias = bias.data, .activation = Activation::gelu_tanh};
  matmul(x_.view(), w, activated.view(), options, threads_);
  test::expect_same_bits(activated, product);

  add(residual.view(), product.view(), expected.view(), threads_);
  Matrix apart(p_.m, p_.n, 3), in_place = residual;
  options.residual = residual.view();
  matmul(x_.view(), w, apart.view(), options, threads_);
  test::expect_same_bits(apart, expected);
  options.residual = in_place.view();
  matmul(x_.view(), w, in_place.view(), options, threads_);
  test::expect_same_bits(in_place, expected);

  const Matrix scale = random_matrix(1, p_.n, 6);
  scale_columns(product.view(), scale.data, threads_);
  options.residual = {};
  options.scale = scale.data;
  matmul(x_.view(), w, apart.view(), options, threads_);
  test::expect_same_bits(apart, product);
  add(residual.view(), product.view(), expected.view(), threads_);
  options.residual = residual.view();
  matmul(x_.view(), w, apart.view(), options, threads_);
  test::expect_same_bits(apart, expected);
}

INSTANTIATE_TEST_SUITE_P(Shapes, MatmulTest, testing::ValuesIn(cases()), case_name);

TEST(PackedMatrixTest, StacksSlicesOfAnyTypeAndDirection) {
  Threads threads(2);
  const std::int64_t k = 100;
  const Matrix w = rounded_to_bf16(random_matrix(30, k, 3));
  // Rows 0-9 as they are, 10-16 as bf16, 17-29 from a transposed tensor [k, 13].
  std::vector<BFloat16> half;
  for (std::int64_t r = 10; r < 17; ++r) {
    for (std::int64_t c = 0; c < k; ++c) half.push_back(to_bfloat16(w.row(r)[c]));
  }
  Matrix transposed(k, 13);
  for (std::int64_t c = 0; c < k; ++c) {
    for (std::int64_t r = 0; r < 13; ++r) transposed.row(c)[r] = w.row(17 + r)[c];
  }
  const TensorView bf16_view{DType::bf16, {7, k}, reinterpret_cast<const std::byte*>(half.data())};
  const TensorView transposed_view{
      DType::f32, {k, 13}, reinterpret_cast<const std::byte*>(transposed.data.data())};
  const WeightSlice first{DType::f32, reinterpret_cast<const std::byte*>(w.data.data()), 10, k, k,
                          1};
  const std::vector<WeightSlice> slices = {first, whole(bf16_view), whole(transposed_view, true)};
  const WeightSlice plain = slice_of(w);
  const Matrix x = random_matrix(20, k, 4);
  for (const Precision precision : {Precision::f32, Precision::bf16}) {
    const auto stacked = PackedMatrix::pack(slices, precision, threads);
    EXPECT_EQ(stacked.n(), 30);
    EXPECT_EQ(stacked.k(), k);
    EXPECT_GE(stacked.byte_count(), 30u * 100u * (precision == Precision::f32 ? 4u : 2u));
    Matrix y(20, 30), expected(20, 30);
    matmul(x.view(), stacked, y.view(), threads);
    matmul(x.view(), PackedMatrix::pack({&plain, 1}, precision, threads), expected.view(), threads);
    test::expect_same_bits(y, expected);
  }
}

TEST(PackedMatrixTest, DecodedWeightsAreThoseInMemory) {
  Threads threads(2);
  const Matrix w = random_matrix(70, 100, 5), x = random_matrix(9, 100, 6);
  const WeightSlice plain = slice_of(w);
  WeightSlice first = plain, rest = plain;
  first.data = rest.data = nullptr;
  first.out = 41;
  rest.out = 70 - 41;
  const auto reader = [&w](std::int64_t begin) {
    return [&w, begin](std::int64_t at, std::int64_t count, float* out) {
      std::copy_n(w.data.data() + begin + at, count, out);
    };
  };
  first.read = reader(0);
  rest.read = reader(41 * 100);
  const std::vector<WeightSlice> decoded = {first, rest};
  for (const Precision precision : {Precision::f32, Precision::bf16, Precision::int8}) {
    Matrix y(9, 70), expected(9, 70);
    matmul(x.view(), PackedMatrix::pack(decoded, precision, threads), y.view(), threads);
    matmul(x.view(), PackedMatrix::pack({&plain, 1}, precision, threads), expected.view(), threads);
    test::expect_same_bits(y, expected);
  }
}

// Every f16 (subnormals too) comes out as its value: multiplied by the identity's rows.
TEST(PackedMatrixTest, HalfPrecisionWeightsAreExactInF32) {
  Threads threads(1);
  constexpr std::int64_t kOut = 992, kIn = 64;      // all 63,488 finite values
  std::vector<std::byte> file(2 * kOut * kIn + 1);  // and from an odd address
  std::vector<Float16> w;
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    if ((bits & 0x7c00) != 0x7c00) w.push_back({static_cast<std::uint16_t>(bits)});
  }
  ASSERT_EQ(w.size(), static_cast<std::size_t>(kOut * kIn));
  std::memcpy(file.data() + 1, w.data(), w.size() * 2);
  const WeightSlice slice = whole({DType::f16, {kOut, kIn}, file.data() + 1});
  Matrix x(kIn, kIn), y(kIn, kOut);
  for (std::int64_t i = 0; i < kIn; ++i) x.row(i)[i] = 1;
  matmul(x.view(), PackedMatrix::pack({&slice, 1}, Precision::f32, threads), y.view(), threads);
  for (std::int64_t o = 0; o < kOut; ++o) {
    for (std::int64_t i = 0; i < kIn; ++i) {
      ASSERT_EQ(y.row(i)[o], to_float(w[static_cast<std::size_t>(o * kIn + i)])) << o << ", " << i;
    }
  }
}

// Rounding to int8 must not make a finite number of a NaN or an infinity.
TEST(PackedMatrixTest, NotFiniteValuesStayVisibleInInt8) {
  Threads threads(2);
  for (const float bad : {std::nanf(""), INFINITY, -INFINITY}) {
    for (const std::int64_t column : {3, 69}) {  // in a vector, and behind the last whole one
      Matrix x = random_matrix(6, 70, 1), w = random_matrix(5, 70, 2);
      x.row(4)[column] = bad;
      w.row(2)[column] = bad;
      const WeightSlice slice = slice_of(w);
      Matrix y(6, 5);
      matmul(x.view(), PackedMatrix::pack({&slice, 1}, Precision::int8, threads), y.view(),
             threads);
      for (std::int64_t r = 0; r < 6; ++r) {
        for (std::int64_t c = 0; c < 5; ++c) {
          EXPECT_EQ(std::isfinite(y.row(r)[c]), r != 4 && c != 2) << bad << " " << r << " " << c;
        }
      }
    }
  }
}

// Memory that was another matrix's gives the same products.
TEST(PackedMatrixTest, KeptMemoryIsPackedAnew) {
  Threads threads(2);
  const Matrix x = random_matrix(40, 70, 1), first = random_matrix(50, 70, 2);
  const Matrix second = random_matrix(50, 70, 3);
  for (const Precision precision : {Precision::f32, Precision::bf16}) {
    const auto product = [&](const Matrix& w) {
      const WeightSlice slice = slice_of(w);
      Matrix y(40, 50);
      matmul(x.view(), PackedMatrix::pack({&slice, 1}, precision, threads), y.view(), threads);
      return y;
    };
    const Matrix expected = product(second);
    const KeepPackedMemory keep;
    product(first);
    test::expect_same_bits(product(second), expected);
  }
}

TEST(PackedMatrixTest, NoOpenMpTeamIsOpened) {
  const Matrix x = random_matrix(700, 300, 1), w = random_matrix(900, 300, 2);
  Matrix y(700, 900);
  const WeightSlice slice = slice_of(w);
  for (const int count : {1, 3}) {
    Threads threads(count);
    for (const Precision precision : {Precision::f32, Precision::bf16}) {
      matmul(x.view(), PackedMatrix::pack({&slice, 1}, precision, threads), y.view(), threads);
    }
  }
  EXPECT_EQ(openmp_teams, 0);
}

TEST(PackedMatrixTest, RefusesWhatItCannotMultiply) {
  Threads threads(1);
  const Matrix w = random_matrix(4, 6, 1);
  WeightSlice integers = slice_of(w);
  integers.type = DType::i32;
  EXPECT_THROW(PackedMatrix::pack({&integers, 1}, Precision::f32, threads), Error);
  std::vector<WeightSlice> uneven = {slice_of(w), slice_of(w)};
  uneven[1].in = 5;
  EXPECT_THROW(PackedMatrix::pack(uneven, Precision::f32, threads), Error);
  const WeightSlice good = slice_of(w);
  const auto packed = PackedMatrix::pack({&good, 1}, Precision::f32, threads);
  Matrix x(2, 5), y(2, 4);
  EXPECT_THROW(matmul(x.view(), packed, y.view(), threads), Error);
  EXPECT_THROW(matmul(x.view(), PackedMatrix(), y.view(), threads), Error);
}

}  // namespace
}  // namespace massact::ops
