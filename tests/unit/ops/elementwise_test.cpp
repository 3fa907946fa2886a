// norm, rope, activations, additions, reductions against ops/ref over awkward shapes.
#include "massact/ops/elementwise.h"

#include <gtest/gtest.h>

#include <limits>
#include <set>

#include "massact/base/error.h"
#include "massact/ops/log_softmax.h"
#include "massact/ops/ref/ops.h"
#include "unit/ops/support.h"

namespace massact::ops {
namespace {

using test::expect_close;
using test::expect_same_bits;
using test::Matrix;
using test::random_matrix;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct RowsCase {
  std::int64_t rows, cols;
};

class RowsTest : public testing::TestWithParam<RowsCase> {
 protected:
  /// Random values with a massive activation and strided rows.
  Matrix input(unsigned seed, float massive = 5000.0f) const {
    Matrix x = random_matrix(p_.rows, p_.cols, seed, 3);
    x.row(p_.rows / 2)[p_.cols / 3] = massive;
    return x;
  }
  Matrix output() const { return Matrix(p_.rows, p_.cols, 1); }

  RowsCase p_ = GetParam();
  Threads threads_{2};
};

TEST_P(RowsTest, Norm) {
  const Matrix x = input(1);
  const Matrix weight = random_matrix(1, p_.cols, 2), bias = random_matrix(1, p_.cols, 3);
  for (const bool layer_norm : {false, true}) {
    for (const float offset : {0.0f, 1.0f}) {
      NormOptions options{layer_norm, 1e-6f, offset, weight.data, {}};
      if (layer_norm) options.bias = bias.data;
      Matrix out = output(), normalized = output(), expected = output(), expected_n = output();
      std::vector<float> scale(static_cast<std::size_t>(p_.rows)), expected_scale = scale;
      norm(x.view(), options, {out.view(), normalized.view(), scale.data()}, threads_);
      ref::norm(x.view(), options, {expected.view(), expected_n.view(), expected_scale.data()});
      expect_close(normalized, expected_n, 1e-6, 1e-6);
      expect_close(out, expected, 1e-6, 4e-6);
      for (std::size_t r = 0; r < scale.size(); ++r) {
        EXPECT_FLOAT_EQ(scale[r], expected_scale[r]);
      }
      // The last step alone gives the same bits, and in place too.
      Matrix affine = output();
      norm_affine(normalized.view(), options, affine.view(), threads_);
      expect_same_bits(affine, out);
      Matrix in_place = x;
      norm(in_place.view(), options, {in_place.view(), {}, nullptr}, threads_);
      expect_same_bits(in_place, out);
    }
  }
}

TEST_P(RowsTest, NormOfALargeMean) {
  Matrix x = random_matrix(p_.rows, p_.cols, 4, 0, 0.5f);
  for (float& v : x.data) v += 4000.0f;
  Matrix out = output(), expected = output();
  const NormOptions options{true, 1e-5f, 0.0f, {}, {}};
  norm(x.view(), options, {out.view(), {}, nullptr}, threads_);
  ref::norm(x.view(), options, {expected.view(), {}, nullptr});
  expect_close(out, expected, 1e-6, 1e-6);
}

TEST_P(RowsTest, Activations) {
  Matrix x = random_matrix(p_.rows, p_.cols, 5, 2, 3.0f);
  const std::vector<float> special = {0.0f,  -0.0f,  100.0f, -100.0f, 1e4f,   -1e4f,
                                      3e38f, -3e38f, 1e-30f, 5.5f,    -12.0f, 90.0f};
  for (std::size_t i = 0; i < special.size() && i < x.data.size(); ++i) x.data[i] = special[i];
  const Matrix up = random_matrix(p_.rows, p_.cols, 6);
  std::set<std::string_view> names;
  for (const Activation f : {Activation::gelu, Activation::gelu_tanh, Activation::quick_gelu,
                             Activation::silu, Activation::relu, Activation::relu_squared}) {
    names.insert(name_of(f));
    Matrix out = output(), expected = output();
    activate(x.view(), f, out.view(), threads_);
    ref::activate(x.view(), f, expected.view());
    expect_close(out, expected, 2e-6, 2e-7);
    activate_gated(x.view(), up.view(), f, out.view(), threads_);
    ref::activate_gated(x.view(), up.view(), f, expected.view());
    expect_close(out, expected, 2e-6, 4e-7);
    Matrix in_place = x;
    activate_gated(in_place.view(), up.view(), f, in_place.view(), threads_);
    expect_same_bits(in_place, out);
    // NaN is not hidden.
    Matrix nan(1, p_.cols, 0, std::nanf(""));
    activate(nan.view(), f, nan.view(), threads_);
    for (const float v : nan.data) EXPECT_TRUE(std::isnan(v));
  }
  EXPECT_EQ(names.size(), 6u);
}

// How a packed [gate; up] projection leaves its results: side by side in one buffer.
TEST_P(RowsTest, GatesAJointBuffer) {
  Matrix joint = random_matrix(p_.rows, 2 * p_.cols, 12), expected = output();
  const FloatMatrix gate = joint.view().slice_cols(0, p_.cols);
  const FloatMatrix up = joint.view().slice_cols(p_.cols, p_.cols);
  ref::activate_gated(gate, up, Activation::silu, expected.view());
  activate_gated(gate, up, Activation::silu, gate, threads_);
  Matrix out = output();
  copy(gate, out.view(), threads_);
  expect_close(out, expected, 2e-6, 4e-7);
}

TEST_P(RowsTest, AddsAndCopies) {
  const Matrix a = input(7), b = input(8);
  Matrix sum = output(), copied = output(), biased = a;
  add(a.view(), b.view(), sum.view(), threads_);
  copy(a.view(), copied.view(), threads_);
  expect_same_bits(copied, a);
  const std::vector<float> bias(b.row(0), b.row(0) + p_.cols);
  add_bias(biased.view(), bias, threads_);
  for (std::int64_t r = 0; r < p_.rows; ++r) {
    for (std::int64_t c = 0; c < p_.cols; ++c) {
      ASSERT_EQ(sum.row(r)[c], a.row(r)[c] + b.row(r)[c]);
      ASSERT_EQ(biased.row(r)[c], a.row(r)[c] + bias[static_cast<std::size_t>(c)]);
    }
  }
  add_bias(copied.view(), {}, threads_);
  expect_same_bits(copied, a);
}

TEST_P(RowsTest, FindsTheFirstNonFinite) {
  Matrix x = input(9);
  EXPECT_EQ(find_non_finite(x.view(), threads_), -1);
  for (const float bad : {kInfinity, -kInfinity, std::nanf("")}) {
    for (const std::int64_t index :
         {p_.rows * p_.cols - 1, p_.rows * p_.cols / 2, std::int64_t{0}}) {
      x.row(index / p_.cols)[index % p_.cols] = bad;
      EXPECT_EQ(find_non_finite(x.view(), threads_), index);
    }
    x = input(9);
  }
}

TEST_P(RowsTest, LogSumExpAndArgMax) {
  Matrix x = random_matrix(p_.rows, p_.cols, 10, 1, 8.0f);
  x.row(0)[p_.cols - 1] = 1e4f;
  x.row(p_.rows - 1)[0] = -kInfinity;
  const auto rows = static_cast<std::size_t>(p_.rows);
  std::vector<double> lse(rows), expected(rows);
  log_sum_exp(x.view(), lse, threads_);
  ref::log_sum_exp(x.view(), expected);
  std::vector<std::int32_t> best(rows), expected_best(rows);
  arg_max(x.view(), best, threads_);
  ref::arg_max(x.view(), expected_best);
  EXPECT_EQ(best, expected_best);
  for (std::size_t r = 0; r < rows; ++r) {
    if (lse[r] == expected[r]) continue;  // a lone -inf
    EXPECT_NEAR(lse[r], expected[r], 1e-6 + 1e-7 * std::abs(expected[r])) << r;
  }
  // Ties: the first.
  Matrix flat(2, p_.cols, 0, 1.5f);
  std::vector<std::int32_t> first(2, -1);
  arg_max(flat.view(), first, threads_);
  EXPECT_EQ(first, (std::vector<std::int32_t>{0, 0}));
}

TEST_P(RowsTest, BitsDoNotDependOnThreads) {
  const Matrix x = input(11);
  Matrix expected = output();
  norm(x.view(), {true, 1e-5f, 0.0f, {}, {}}, {expected.view(), {}, nullptr}, threads_);
  activate(expected.view(), Activation::gelu, expected.view(), threads_);
  for (const int count : {1, 3}) {
    Threads threads(count);
    Matrix y = output();
    norm(x.view(), {true, 1e-5f, 0.0f, {}, {}}, {y.view(), {}, nullptr}, threads);
    activate(y.view(), Activation::gelu, y.view(), threads);
    expect_same_bits(y, expected);
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, RowsTest,
                         testing::Values(RowsCase{1, 1}, RowsCase{1, 2}, RowsCase{3, 15},
                                         RowsCase{5, 16}, RowsCase{7, 17}, RowsCase{300, 64},
                                         RowsCase{33, 131}, RowsCase{50, 4097}),
                         [](const auto& param_info) {
                           return fmt::format("{}x{}", param_info.param.rows,
                                              param_info.param.cols);
                         });

struct RopeCase {
  std::int64_t rows, heads, head_size, rotated;
};

class RopeTest : public testing::TestWithParam<RopeCase> {};

TEST_P(RopeTest, AgreesWithReference) {
  const RopeCase p = GetParam();
  Threads threads(2);
  std::vector<float> frequencies;
  for (std::int64_t i = 0; i < p.rotated / 2; ++i) {
    frequencies.push_back(
        std::pow(10000.0f, -2.0f * static_cast<float>(i) / static_cast<float>(p.rotated)));
  }
  const RopeTable table(frequencies, 1.25f, p.rows + 7);
  for (const RopeStyle style : {RopeStyle::half, RopeStyle::interleaved}) {
    const Matrix x = random_matrix(p.rows, p.heads * p.head_size, 1, 4);
    Matrix y = x, expected = x;
    rope(y.view(), p.heads, p.head_size, table, style, 7, threads);
    ref::rope(expected.view(), p.heads, p.head_size, table, style, 7);
    expect_close(y, expected, 1e-6, 1e-6);
    // A rotation keeps the length of a head, up to the table's factor.
    double before = 0, after = 0;
    for (std::int64_t c = 0; c < p.rotated; ++c) {
      before += std::pow(x.row(p.rows - 1)[c], 2);
      after += std::pow(y.row(p.rows - 1)[c], 2);
    }
    EXPECT_NEAR(std::sqrt(after), 1.25 * std::sqrt(before), 1e-5 * std::sqrt(before));
    EXPECT_THROW(rope(y.view(), p.heads, p.head_size, table, style, 8, threads), Error);
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, RopeTest,
                         testing::Values(RopeCase{1, 1, 2, 2}, RopeCase{5, 3, 8, 8},
                                         RopeCase{9, 2, 80, 32}, RopeCase{33, 4, 64, 64},
                                         RopeCase{70, 2, 128, 128}, RopeCase{6, 5, 14, 10}),
                         [](const auto& param_info) {
                           return fmt::format("t{}_h{}_c{}_r{}", param_info.param.rows,
                                              param_info.param.heads, param_info.param.head_size,
                                              param_info.param.rotated);
                         });

TEST(OpsErrors, ShapesAreChecked) {
  Threads threads(1);
  Matrix a(2, 3), b(2, 4);
  EXPECT_THROW(add(a.view(), b.view(), a.view(), threads), Error);
  EXPECT_THROW(add_bias(a.view(), b.data, threads), Error);
  EXPECT_THROW(activate(a.view(), Activation::silu, b.view(), threads), Error);
  EXPECT_THROW(norm(a.view(), {false, 1e-5f, 0.0f, b.data, {}}, {a.view(), {}, nullptr}, threads),
               Error);
  std::vector<double> out(1);
  EXPECT_THROW(log_sum_exp(a.view(), out, threads), Error);
}

}  // namespace
}  // namespace massact::ops
