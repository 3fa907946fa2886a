#include "massact/ops/attention_sums.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <string>

#include "massact/base/error.h"
#include "massact/ops/cpu/features.h"
#include "massact/ops/ref/ops.h"
#include "unit/ops/support.h"

namespace massact::ops {
namespace {

using test::expect_close;
using test::expect_same_bits;
using test::Matrix;
using test::random_matrix;

enum class Slot { none, key, key_value, logit, logits };

struct AttentionCase {
  std::string name;
  std::vector<std::int64_t> lengths;  // of the sequences
  std::int64_t heads = 2, kv_heads = 1, head_size = 16;
  bool causal = true;
  std::int64_t window = 0;
  float soft_cap = 0;
  bool alibi = false, alibi_in_bf16 = false;
  Slot slot = Slot::none;
  AttentionKind kind = AttentionKind::softmax;
  float gamma = 0, eta = 1;
  float q_deviation = 1;  // large: logits in the thousands
  std::int64_t grid_columns = 0, grid_window = 0;
  bool grid_bias = false;
};

std::vector<AttentionCase> cases() {
  const AttentionCase base;
  std::vector<AttentionCase> all;
  const auto with = [&](std::string name, std::vector<std::int64_t> lengths, auto change) {
    AttentionCase c = base;
    c.name = std::move(name);
    c.lengths = std::move(lengths);
    change(c);
    all.push_back(c);
  };
  with("one_token", {1}, [](auto&) {});
  with("short", {2, 3, 1, 7}, [](auto& c) { c.head_size = 8; });
  with("odd_head_size", {65}, [](auto& c) { c.head_size = 13, c.heads = 3, c.kv_heads = 3; });
  with("head_size_1", {40}, [](auto& c) { c.head_size = 1; });
  with("head_80", {100, 31}, [](auto& c) { c.head_size = 80, c.heads = 4, c.kv_heads = 2; });
  with("head_128", {300}, [](auto& c) { c.head_size = 128; });
  with("head_256", {97}, [](auto& c) { c.head_size = 256; });
  with("tiles", {513, 96, 256, 257}, [](auto& c) { c.head_size = 32; });
  with("images", {261, 261}, [](auto& c) {
    c.causal = false;
    c.head_size = 45;
    c.heads = c.kv_heads = 6;
  });
  with("bidirectional", {197, 5}, [](auto& c) { c.causal = false, c.head_size = 64; });
  with("window", {600}, [](auto& c) { c.window = 70; });
  with("window_1", {50}, [](auto& c) { c.window = 1; });
  with("window_without_causal", {300}, [](auto& c) { c.window = 33, c.causal = false; });
  with("soft_cap", {130}, [](auto& c) { c.soft_cap = 5, c.q_deviation = 10; });
  with("alibi", {270}, [](auto& c) { c.alibi = true, c.heads = 4; });
  // Beyond 256, where bf16 holds no odd position.
  with("alibi_in_bf16", {300}, [](auto& c) { c.alibi = c.alibi_in_bf16 = true, c.heads = 3; });
  with("slot_key", {140, 1}, [](auto& c) { c.slot = Slot::key; });
  with("slot_key_value", {300}, [](auto& c) { c.slot = Slot::key_value, c.soft_cap = 3; });
  with("slot_logit", {150}, [](auto& c) { c.slot = Slot::logit, c.window = 20; });
  with("sigmoid", {280}, [](auto& c) { c.kind = AttentionKind::sigmoid; });
  with("sigmoid_slot", {33}, [](auto& c) {
    c.kind = AttentionKind::sigmoid;
    c.slot = Slot::key_value;
  });
  with("clipped", {300}, [](auto& c) { c.gamma = -0.03f, c.eta = 1.1f; });
  with("clipped_slot", {70}, [](auto& c) {
    c.gamma = -0.1f;
    c.eta = 1.2f;
    c.slot = Slot::key_value;
  });
  with("large_logits", {260}, [](auto& c) { c.q_deviation = 3000; });
  with("large_logits_sigmoid", {64}, [](auto& c) {
    c.q_deviation = 3000;
    c.kind = AttentionKind::sigmoid;
  });
  const auto with_grid = [&](std::string name, std::vector<std::int64_t> lengths,
                             std::int64_t columns, auto change) {
    with(std::move(name), std::move(lengths), [&](AttentionCase& c) {
      c.causal = false;
      c.grid_columns = columns;
      change(c);
    });
  };
  with_grid("grid_bias", {7 * 40, 7, 21}, 7, [](auto& c) { c.grid_bias = true; });
  with_grid("grid_bias_wide", {300, 900}, 150, [](auto& c) { c.grid_bias = true, c.heads = 3; });
  with_grid("slot_logits", {6 * 20}, 6, [](auto& c) { c.slot = Slot::logits; });
  with_grid("windows", {11 * 9, 11 * 4, 11}, 11, [](auto& c) { c.grid_window = 4; });
  with_grid("windows_bias", {10 * 30, 10 * 7}, 10,
            [](auto& c) { c.grid_window = 5, c.grid_bias = true, c.heads = 4, c.kv_heads = 2; });
  with_grid("windows_of_all", {6 * 5}, 6, [](auto& c) { c.grid_window = 14, c.grid_bias = true; });
  with_grid("windows_slot", {37 * 19, 37 * 2}, 37, [](auto& c) {
    c.grid_window = 17, c.grid_bias = true, c.slot = Slot::logits, c.soft_cap = 4;
  });
  with("everything", {500, 2, 99}, [](auto& c) {
    c.heads = 6, c.kv_heads = 3, c.head_size = 20, c.window = 130, c.soft_cap = 20, c.alibi = true;
    c.slot = Slot::key_value;
  });
  return all;
}

// Inputs of a case, with its options pointing into them.
struct Inputs {
  explicit Inputs(const AttentionCase& p) {
    std::int64_t rows = 2;  // rows before, between and after the sequences belong to nobody
    for (const std::int64_t count : p.lengths) {
      sequences.push_back({rows, count});
      rows += count + 1;
    }
    const std::int64_t kv_cols = p.kv_heads * p.head_size;
    q = random_matrix(rows, p.heads * p.head_size, 1, 3, p.q_deviation);
    k = random_matrix(rows, kv_cols, 2, 1);
    v = random_matrix(rows, kv_cols, 3);
    slot = random_matrix(3, kv_cols, 4);
    logits = random_matrix(1, p.heads, 5);
    slopes = random_matrix(1, p.heads, 6, 0, 0.2f);
    options.heads = p.heads;
    options.kv_heads = p.kv_heads;
    options.head_size = p.head_size;
    options.scale = 1.0f / std::sqrt(static_cast<float>(p.head_size));
    options.kind = p.kind;
    options.causal = p.causal;
    options.window = p.window;
    options.soft_cap = p.soft_cap;
    options.alibi_in_bf16 = p.alibi_in_bf16;
    if (p.alibi_in_bf16) options.alibi_factor = 0.3f;
    options.clip_gamma = p.gamma;
    options.clip_eta = p.eta;
    const auto row = [&](const Matrix& m, std::int64_t r) {
      return std::span<const float>(m.row(r), static_cast<std::size_t>(m.cols));
    };
    if (p.alibi) options.alibi_slopes = row(slopes, 0);
    if (p.slot == Slot::key || p.slot == Slot::key_value) options.slot_key = row(slot, 0);
    if (p.slot == Slot::key_value) options.slot_value = row(slot, 1);
    if (p.slot == Slot::logit) options.slot_logit = row(logits, 0);
    if (p.slot == Slot::logits) {
      query_logits = random_matrix(rows, p.heads, 7, 2);
      for (std::int64_t r = 0; r < rows; r += 5) {  // some queries have no slot
        query_logits.row(r)[0] = -std::numeric_limits<float>::infinity();
      }
      options.slot_logits = std::as_const(query_logits).view();
      options.slot_value = row(slot, 1);
    }
    options.grid.columns = p.grid_columns;
    options.grid.window = p.grid_window;
    if (p.grid_bias) {
      const std::int64_t most = *std::max_element(p.lengths.begin(), p.lengths.end());
      const std::int64_t n = p.grid_window > 0 ? p.grid_window : most / p.grid_columns;
      const std::int64_t m = p.grid_window > 0 ? p.grid_window : p.grid_columns;
      row_bias = random_matrix(rows, p.heads * n, 8, 1);
      column_bias = random_matrix(rows, p.heads * m, 9);
      options.grid.row_bias = std::as_const(row_bias).view();
      options.grid.column_bias = std::as_const(column_bias).view();
    }
  }

  Matrix output() const { return Matrix(q.rows, q.cols, 2, 7.0f); }

  Matrix q, k, v, slot, logits, slopes, query_logits, row_bias, column_bias;
  std::vector<RowRange> sequences;
  AttentionOptions options;
};

class AttentionTest : public testing::TestWithParam<AttentionCase> {
 protected:
  /// Rounding of scores of this size shows in the weights.
  double tolerance() const { return p_.q_deviation > 100 ? 1e-3 : 5e-6; }

  AttentionCase p_ = GetParam();
  Inputs in_{p_};
  Threads threads_{2};
};

TEST_P(AttentionTest, AgreesWithReference) {
  Matrix z = in_.output(), expected = in_.output();
  attention(in_.q.view(), in_.k.view(), in_.v.view(), in_.sequences, in_.options, z.view(),
            threads_);
  ref::attention(in_.q.view(), in_.k.view(), in_.v.view(), in_.sequences, in_.options,
                 expected.view());
  // Rows of no sequence are not touched: they still compare equal. σ sums as many values as there
  // are keys without normalising.
  const double sum = p_.kind == AttentionKind::sigmoid ? 20 : 1;
  expect_close(z, expected, tolerance(), sum * tolerance());
}

void expect_sums(const std::vector<double>& actual, const std::vector<double>& expected,
                 double tolerance, const char* what) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    if (actual[i] == expected[i]) continue;  // infinities
    ASSERT_NEAR(actual[i], expected[i], tolerance * (1 + std::abs(expected[i])))
        << what << " at " << i;
  }
}

std::vector<double> as_doubles(const std::vector<float>& values) {
  return {values.begin(), values.end()};
}

// Every third key of the even sequences, and all keys of the last one.
std::vector<std::uint8_t> chosen_keys(const Inputs& in) {
  std::vector<std::uint8_t> chosen(static_cast<std::size_t>(in.q.rows));
  for (std::size_t s = 0; s < in.sequences.size(); s += 2) {
    const bool all = s + 1 == in.sequences.size() && s > 0;
    for (std::int64_t j = 0; j < in.sequences[s].count; j += all ? 1 : 3) {
      chosen[static_cast<std::size_t>(in.sequences[s].first + j)] = 1;
    }
  }
  return chosen;
}

TEST_P(AttentionTest, SumsAgreeWithReference) {
  Matrix plain = in_.output(), z = in_.output(), expected_z = in_.output();
  AttentionSums sums, expected;
  sums.chosen = expected.chosen = chosen_keys(in_);
  sums.prefix = expected.prefix = 64;
  attention(in_.q.view(), in_.k.view(), in_.v.view(), in_.sequences, in_.options, plain.view(),
            threads_);
  attention(in_.q.view(), in_.k.view(), in_.v.view(), in_.sequences, in_.options, z.view(), sums,
            threads_);
  ref::attention(in_.q.view(), in_.k.view(), in_.v.view(), in_.sequences, in_.options,
                 expected_z.view(), expected);
  expect_same_bits(z, plain);
  const double tolerance = 4 * this->tolerance();
  expect_sums(sums.column_sums, expected.column_sums, tolerance, "column sums");
  expect_sums(sums.prefix_sums, expected.prefix_sums, tolerance, "prefix sums");
  // Scores cancel in their sum: the error is that of the terms.
  const double scores = std::max(1.0f, p_.q_deviation) * 1e-4;
  expect_sums(sums.score_sums, expected.score_sums, scores, "score sums");
  expect_sums(as_doubles(sums.entropy), as_doubles(expected.entropy),
              p_.q_deviation > 100 ? 0.05 : 2e-5, "entropy");
  expect_sums(as_doubles(sums.chosen_weight), as_doubles(expected.chosen_weight), tolerance,
              "weight of the chosen keys");
  expect_sums(as_doubles(sums.slot_score), as_doubles(expected.slot_score), scores,
              "score of the slot");
  expect_sums(as_doubles(sums.slot_weight), as_doubles(expected.slot_weight), tolerance,
              "weight of the slot");
  const FloatMatrix a = sums.output(in_.options), b = expected.output(in_.options);
  for (const RowRange& rows : in_.sequences) {
    for (std::int64_t r = rows.first; r < rows.first + rows.count; ++r) {
      for (std::int64_t c = 0; c < a.cols; ++c) {
        ASSERT_NEAR(a(r, c), b(r, c), tolerance * (20 + std::abs(b(r, c)))) << r << ", " << c;
      }
    }
  }
  for (const float closure : sums.closure) EXPECT_LE(closure, p_.q_deviation > 100 ? 1e-3 : 1e-5);
}

TEST_P(AttentionTest, SumsDoNotDependOnThreadsOrNeighbours) {
  Matrix z = in_.output();
  AttentionSums together, alone;
  together.chosen = alone.chosen = chosen_keys(in_);
  together.prefix = alone.prefix = 10;
  attention(in_.q.view(), in_.k.view(), in_.v.view(), in_.sequences, in_.options, z.view(),
            together, threads_);
  Threads one(1);
  const std::vector<RowRange> last = {in_.sequences.back()};
  attention(in_.q.view(), in_.k.view(), in_.v.view(), last, in_.options, z.view(), alone, one);
  for (std::int64_t h = 0; h < p_.heads; ++h) {
    for (std::int64_t r = last[0].first; r < last[0].first + last[0].count; ++r) {
      const std::size_t at = together.at(h, r);
      ASSERT_EQ(together.column_sums[at], alone.column_sums[at]);
      ASSERT_EQ(together.score_sums[at], alone.score_sums[at]);
      ASSERT_EQ(together.entropy[at], alone.entropy[at]);
    }
  }
}

// With q, k, v in bf16 and a scale that is a power of two, only the weights are rounded.
TEST_P(AttentionTest, Bf16AgreesWithReference) {
  for (Matrix* m : {&in_.q, &in_.k, &in_.v}) {
    for (float& x : m->data) x = to_float(to_bfloat16(x));
  }
  in_.options.scale = 0.25f;
  Matrix z = in_.output(), expected = in_.output();
  ref::attention(in_.q.view(), in_.k.view(), in_.v.view(), in_.sequences, in_.options,
                 expected.view());
  in_.options.precision = Precision::bf16;
  const double sum = p_.kind == AttentionKind::sigmoid ? 20 : 1;
  for (const CpuLevel level : {CpuLevel::amx, CpuLevel::avx512_bf16}) {  // or what the CPU has
    limit_cpu_level(level);
    SCOPED_TRACE(name_of(cpu_level()));
    attention(in_.q.view(), in_.k.view(), in_.v.view(), in_.sequences, in_.options, z.view(),
              threads_);
    expect_close(z, expected, 4e-3, sum * 4e-3);
    Threads one(1);
    Matrix again = in_.output();
    const RowRange& last = in_.sequences.back();
    attention(in_.q.view(), in_.k.view(), in_.v.view(), {&last, 1}, in_.options, again.view(), one);
    for (std::int64_t r = last.first; r < last.first + last.count; ++r) {
      ASSERT_TRUE(test::same_bits(again.row(r), z.row(r), z.cols));
    }
  }
  limit_cpu_level(CpuLevel::amx);
}

TEST_P(AttentionTest, ExplicitPathAgreesWithReference) {
  Matrix z = in_.output(), expected = in_.output();
  const std::int64_t c = p_.head_size;
  for (const RowRange& s : in_.sequences) {
    const auto part = [&](const Matrix& m) { return m.view().slice_rows(s.first, s.count); };
    for (std::int64_t head = 0; head < p_.heads; ++head) {
      const std::int64_t slots = in_.options.has_slot() ? 1 : 0;
      for (std::int64_t first = 0; first < s.count; first += 5) {
        const std::int64_t rows = std::min<std::int64_t>(5, s.count - first);
        Matrix scores(rows, s.count + slots, 1);
        attention_scores(part(in_.q), part(in_.k), in_.options.of_sequence(s), head, first,
                         scores.view());
        attention_pattern(scores.view(), in_.options);
        attention_apply(scores.view(), part(in_.v), in_.options, head,
                        z.view().slice_rows(s.first + first, rows).slice_cols(head * c, c));
      }
    }
  }
  ref::attention(in_.q.view(), in_.k.view(), in_.v.view(), in_.sequences, in_.options,
                 expected.view());
  const double sum = p_.kind == AttentionKind::sigmoid ? 20 : 1;
  expect_close(z, expected, tolerance(), sum * tolerance());
}

TEST_P(AttentionTest, BitsDoNotDependOnThreadsOrOtherSequences) {
  Matrix expected = in_.output();
  attention(in_.q.view(), in_.k.view(), in_.v.view(), in_.sequences, in_.options, expected.view(),
            threads_);
  for (const int count : {1, 3}) {
    Threads threads(count);
    Matrix z = in_.output();
    std::vector<RowRange> reversed(in_.sequences.rbegin(), in_.sequences.rend());
    for (const RowRange& sequence : reversed) {
      attention(in_.q.view(), in_.k.view(), in_.v.view(), {&sequence, 1}, in_.options, z.view(),
                threads);
    }
    expect_same_bits(z, expected);
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, AttentionTest, testing::ValuesIn(cases()),
                         [](const auto& param) { return param.param.name; });

TEST(AttentionPattern, RowsOfMinusInfinityBecomeZero) {
  Matrix scores(2, 19, 0, -std::numeric_limits<float>::infinity());
  scores.row(1)[4] = 2.0f;
  attention_pattern(scores.view(), {});
  for (std::int64_t j = 0; j < 19; ++j) {
    EXPECT_EQ(scores.row(0)[j], 0.0f);
    EXPECT_EQ(scores.row(1)[j], j == 4 ? 1.0f : 0.0f);
  }
}

TEST(AttentionPattern, SlotIsColumnZeroAndNeverMasked) {
  const Matrix q = random_matrix(6, 4, 1), k = random_matrix(6, 4, 2),
               slot = random_matrix(1, 4, 3);
  AttentionOptions options;
  options.head_size = 4;
  options.slot_key = slot.data;
  Matrix scores(2, 7);
  attention_scores(q.view(), k.view(), options, 0, 1, scores.view());
  for (std::int64_t r = 0; r < 2; ++r) {
    for (std::int64_t j = 0; j < 7; ++j) EXPECT_EQ(std::isinf(scores.row(r)[j]), j > r + 2);
  }
}

TEST(AttentionTiles, NanIsNotHidden) {
  Threads threads(1);
  Matrix q = random_matrix(40, 16, 1);
  const Matrix k = random_matrix(40, 16, 2), v = random_matrix(40, 16, 3);
  q.row(20)[3] = std::nanf("");
  AttentionOptions options;
  options.head_size = 16;
  const RowRange all{0, 40};
  Matrix z(40, 16);
  attention(q.view(), k.view(), v.view(), {&all, 1}, options, z.view(), threads);
  EXPECT_TRUE(std::isnan(z.row(20)[0]));
  EXPECT_FALSE(std::isnan(z.row(19)[0]));
}

TEST(AttentionErrors, OptionsAndShapesAreChecked) {
  Threads threads(1);
  const Matrix q = random_matrix(4, 8, 1), k = random_matrix(4, 4, 2);
  Matrix z(4, 8);
  const RowRange all{0, 4};
  const auto run = [&](AttentionOptions options, RowRange range) {
    attention(q.view(), k.view(), k.view(), {&range, 1}, options, z.view(), threads);
  };
  AttentionOptions good;
  good.heads = 2;
  good.head_size = 4;
  EXPECT_NO_THROW(run(good, all));
  EXPECT_THROW(run(good, {1, 4}), Error);
  EXPECT_THROW(run(good, {-1, 2}), Error);
  AttentionOptions bad = good;
  bad.kv_heads = 3;
  EXPECT_THROW(run(bad, all), Error);
  bad = good;
  bad.slot_key = k.data;  // 16 values instead of 4
  EXPECT_THROW(run(bad, all), Error);
  bad = good;
  bad.clip_gamma = 0.5f;
  EXPECT_THROW(run(bad, all), Error);
}

}  // namespace
}  // namespace massact::ops
