// SAM's windowed attention with relative positions, against plain loops over padded windows: the
// padding's keys are positions like any other there, and their queries are dropped.
#include "massact/ops/grid_attention.h"

#include <gtest/gtest.h>

#include "massact/base/error.h"
#include "massact/ops/attention_sums.h"
#include "unit/ops/support.h"

namespace massact::ops {
namespace {

using test::Matrix;
using test::random_matrix;

struct GridCase {
  std::string name;
  std::int64_t rows, columns, window;
  bool relative = true;
};

constexpr std::int64_t kHeads = 3, kSize = 5;

class GridAttention : public testing::TestWithParam<GridCase> {
 protected:
  GridAttention() {
    options.heads = options.kv_heads = kHeads;
    options.head_size = kSize;
    options.scale = 0.4f;
    options.causal = false;
    options.grid = {.columns = p.columns, .window = p.window};
    if (p.relative) fill_bias();
    padding_logits(std::as_const(q).view(), {&all, 1}, options, key.data, logits.view(), threads);
    options.slot_logits = std::as_const(logits).view();
    options.slot_value = value.data;
  }

  void fill_bias() {
    for (const bool of_rows : {true, false}) {
      std::vector<std::int64_t> own(2, 0);  // two rows of nobody before the sequence
      for (std::int64_t i = 0; i < all.count; ++i) {
        own.push_back((of_rows ? i / p.columns : i % p.columns) % p.window);
      }
      const Matrix& table = of_rows ? row_table : column_table;
      Matrix& bias = of_rows ? row_bias : column_bias;
      relative_bias(std::as_const(q).view(), kHeads, {table.data, p.window}, own, bias.view(),
                    threads);
    }
    options.grid.row_bias = std::as_const(row_bias).view();
    options.grid.column_bias = std::as_const(column_bias).view();
  }

  double dot(const float* a, const float* b) const {
    double sum = 0;
    for (std::int64_t i = 0; i < kSize; ++i) sum += static_cast<double>(a[i]) * b[i];
    return sum;
  }

  struct Expected {
    std::vector<double> z = std::vector<double>(kSize);
    double padding = 0;  // probability of all padded keys
  };
  // Query (y, x) of the grid over its padded window.
  Expected expected(std::int64_t y, std::int64_t x, std::int64_t h) const {
    const std::int64_t w = p.window, y0 = y / w * w, x0 = x / w * w;
    const float* query = q.row(2 + y * p.columns + x) + h * kSize;
    std::vector<double> weights;
    std::vector<const float*> values;
    std::vector<bool> padded;
    double sum = 0;
    for (std::int64_t ky = y0; ky < y0 + w; ++ky) {
      for (std::int64_t kx = x0; kx < x0 + w; ++kx) {
        const bool inside = ky < p.rows && kx < p.columns;
        const std::int64_t row = 2 + ky * p.columns + kx;
        const float* k_of = (inside ? k.row(row) : key.row(0)) + h * kSize;
        double score = static_cast<double>(options.scale) * dot(query, k_of);
        if (p.relative) {
          score += dot(query, row_table.row(y - ky + w - 1));
          score += dot(query, column_table.row(x - kx + w - 1));
        }
        weights.push_back(std::exp(score));
        values.push_back((inside ? v.row(row) : value.row(0)) + h * kSize);
        padded.push_back(!inside);
        sum += weights.back();
      }
    }
    Expected result;
    for (std::size_t j = 0; j < weights.size(); ++j) {
      for (std::int64_t i = 0; i < kSize; ++i) {
        result.z[static_cast<std::size_t>(i)] +=
            weights[j] / sum * static_cast<double>(values[j][i]);
      }
      if (padded[j]) result.padding += weights[j] / sum;
    }
    return result;
  }

  GridCase p = GetParam();
  RowRange all{2, p.rows* p.columns};
  std::int64_t n = all.first + all.count;
  Matrix q = random_matrix(n, kHeads*kSize, 1), k = random_matrix(n, kHeads*kSize, 2),
         v = random_matrix(n, kHeads*kSize, 3);
  Matrix key = random_matrix(1, kHeads*kSize, 4), value = random_matrix(1, kHeads*kSize, 5);
  Matrix row_table = random_matrix(2 * p.window - 1, kSize, 6),
         column_table = random_matrix(2 * p.window - 1, kSize, 7);
  Matrix row_bias = Matrix(n, kHeads*p.window), column_bias = row_bias;
  Matrix logits = Matrix(n, kHeads);
  Threads threads{2};
  AttentionOptions options;
};

TEST_P(GridAttention, AgreesWithPaddedWindows) {
  Matrix z(n, kHeads * kSize);
  AttentionSums sums;
  sums.chosen.assign(static_cast<std::size_t>(n), 0);
  attention(q.view(), k.view(), v.view(), {&all, 1}, options, z.view(), sums, threads);
  for (std::int64_t y = 0; y < p.rows; ++y) {
    for (std::int64_t x = 0; x < p.columns; ++x) {
      const std::int64_t row = all.first + y * p.columns + x;
      for (std::int64_t h = 0; h < kHeads; ++h) {
        const Expected right = expected(y, x, h);
        for (std::int64_t i = 0; i < kSize; ++i) {
          ASSERT_NEAR(z.row(row)[h * kSize + i], right.z[static_cast<std::size_t>(i)], 1e-5)
              << "query " << y << ", " << x << " of head " << h;
        }
        ASSERT_NEAR(sums.slot_weight[sums.at(h, row)], right.padding, 1e-5);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, GridAttention,
                         testing::Values(GridCase{"ragged", 7, 10, 4}, GridCase{"divides", 6, 9, 3},
                                         GridCase{"larger_than_grid", 3, 4, 6},
                                         GridCase{"windows_of_one", 2, 3, 1},
                                         GridCase{"without_relative", 5, 5, 3, false},
                                         GridCase{"sam", 16, 16, 14}),
                         [](const auto& param) { return param.param.name; });

TEST(GridAttentionVisibility, QueriesSeeTheirWindow) {
  AttentionOptions options;
  options.causal = false;
  options.grid = {.columns = 5, .window = 3};
  const std::int64_t count = 5 * 4;
  for (std::int64_t j = 0; j < count; ++j) {
    std::int64_t queries = 0;
    for (std::int64_t i = 0; i < count; ++i) queries += sees(options, i, j);
    EXPECT_EQ(queries_of_key(options, j, count), queries) << j;
  }
  EXPECT_TRUE(sees(options, 0, 12));    // (0, 0) and (2, 2)
  EXPECT_FALSE(sees(options, 0, 3));    // (0, 3)
  EXPECT_FALSE(sees(options, 12, 15));  // (3, 0)
}

// The first queries of a sequence are also the first ones of each of its windows.
TEST(GridAttentionVisibility, PrefixSumsCountQueriesInTokenOrder) {
  const std::int64_t count = 7 * 6, prefix = 17;
  const Matrix q = random_matrix(count, 4, 1), k = random_matrix(count, 4, 2),
               v = random_matrix(count, 4, 3);
  AttentionOptions options;
  options.head_size = 4;
  options.causal = false;
  options.grid = {.columns = 7, .window = 4};
  AttentionSums sums;
  sums.prefix = prefix;
  const RowRange all{0, count};
  Matrix z(count, 4), scores(prefix, count);
  Threads threads(1);
  attention(q.view(), k.view(), v.view(), {&all, 1}, options, z.view(), sums, threads);
  attention_scores(q.view(), k.view(), options, 0, 0, scores.view());
  attention_pattern(scores.view(), options);
  for (std::int64_t j = 0; j < count; ++j) {
    double sum = 0;
    for (std::int64_t i = 0; i < prefix; ++i) sum += scores.row(i)[j];
    EXPECT_NEAR(sums.prefix_sums[static_cast<std::size_t>(j)], sum, 1e-5) << j;
  }
}

TEST(GridAttentionErrors, GridsAreChecked) {
  const Matrix q = random_matrix(12, 8, 1);
  const Matrix bias = random_matrix(12, 6, 2);  // three places for each of two heads
  Matrix z(12, 8);
  Threads threads(1);
  AttentionOptions good;
  good.heads = good.kv_heads = 2;
  good.head_size = 4;
  good.causal = false;
  good.grid = {.columns = 4, .window = 3, .row_bias = bias.view(), .column_bias = bias.view()};
  const auto run = [&](const AttentionOptions& options, RowRange range) {
    attention(q.view(), q.view(), q.view(), {&range, 1}, options, z.view(), threads);
  };
  EXPECT_NO_THROW(run(good, {0, 12}));
  EXPECT_THROW(run(good, {0, 11}), Error);  // no whole rows
  AttentionOptions bad = good;
  bad.causal = true;
  EXPECT_THROW(run(bad, {0, 12}), Error);
  bad = good;
  bad.grid.window = 0;  // then four columns need a bias
  EXPECT_THROW(run(bad, {0, 12}), Error);
  bad = good;
  bad.grid.column_bias = {};
  EXPECT_THROW(run(bad, {0, 12}), Error);
  EXPECT_THROW(relative_bias(q.view(), 2, {bias.data, 3}, {}, z.view(), threads), Error);
}

}  // namespace
}  // namespace massact::ops
