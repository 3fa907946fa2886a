// What the op tests share: random matrices and comparisons.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "massact/tensor/tensor.h"

namespace massact::test {

/// A matrix with its memory; `padding` unused columns lie between rows.
struct Matrix {
  std::vector<float> data;
  std::int64_t rows = 0, cols = 0, stride = 0;

  Matrix() = default;
  Matrix(std::int64_t rows_, std::int64_t cols_, std::int64_t padding = 0, float fill = 0.0f)
      : data(static_cast<std::size_t>(rows_ * (cols_ + padding)), fill),
        rows(rows_),
        cols(cols_),
        stride(cols_ + padding) {}

  FloatMatrix view() { return {data.data(), rows, cols, stride}; }
  ConstFloatMatrix view() const { return {data.data(), rows, cols, stride}; }
  float* row(std::int64_t r) { return data.data() + r * stride; }
  const float* row(std::int64_t r) const { return data.data() + r * stride; }
};

inline Matrix random_matrix(std::int64_t rows, std::int64_t cols, unsigned seed,
                            std::int64_t padding = 0, float deviation = 1.0f) {
  Matrix m(rows, cols, padding);
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0f, deviation);
  for (float& x : m.data) x = normal(generator);
  return m;
}

/// |a - b| <= relative * |b| + absolute, or both equal (infinities), for every element.
inline void expect_close(const Matrix& actual, const Matrix& expected, double relative,
                         double absolute) {
  ASSERT_EQ(actual.rows, expected.rows);
  ASSERT_EQ(actual.cols, expected.cols);
  int failures = 0;
  for (std::int64_t r = 0; r < actual.rows && failures < 5; ++r) {
    for (std::int64_t c = 0; c < actual.cols && failures < 5; ++c) {
      const double a = actual.row(r)[c], b = expected.row(r)[c];
      if (a == b || std::abs(a - b) <= relative * std::abs(b) + absolute) continue;
      ADD_FAILURE() << "[" << r << ", " << c << "]: " << a << " instead of " << b;
      ++failures;
    }
  }
}

inline bool same_bits(const float* a, const float* b, std::int64_t count) {
  return std::memcmp(a, b, static_cast<std::size_t>(count) * sizeof(float)) == 0;
}

inline void expect_same_bits(const Matrix& a, const Matrix& b) {
  ASSERT_EQ(a.rows, b.rows);
  for (std::int64_t r = 0; r < a.rows; ++r) {
    ASSERT_TRUE(same_bits(a.row(r), b.row(r), a.cols)) << "row " << r;
  }
}

}  // namespace massact::test
