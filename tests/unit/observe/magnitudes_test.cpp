#include "massact/observe/magnitudes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "massact/base/error.h"
#include "massact/observe/magnitude_kernels.h"
#include "unit/observe/synthetic.h"

namespace massact::observe {
namespace {

using massact::testing::gaussian;
using massact::testing::Hidden;
using massact::testing::Random;
using massact::testing::show;

// The definition of everything in SequenceMagnitudes, by sorting.
struct Reference {
  std::vector<float> sorted;  // |h|
  std::vector<Magnitude> top;
  long double mean = 0, m2 = 0, m3 = 0, m4 = 0, mean_abs = 0;

  Reference(Hidden& h, std::size_t k) {
    for (std::int64_t r = 0; r < h.rows; ++r) {
      for (std::int64_t c = 0; c < h.cols; ++c) {
        top.push_back({h.at(r, c), static_cast<int>(r), static_cast<int>(c), 0.0f, 0.0f});
        sorted.push_back(std::abs(h.at(r, c)));
        mean += static_cast<long double>(h.at(r, c));
        mean_abs += static_cast<long double>(sorted.back());
      }
    }
    std::sort(sorted.begin(), sorted.end());
    std::stable_sort(top.begin(), top.end(), [](const Magnitude& a, const Magnitude& b) {
      return std::abs(a.value) > std::abs(b.value);
    });
    top.resize(std::min(k, top.size()));
    const auto n = static_cast<long double>(sorted.size());
    mean /= n;
    mean_abs /= n;
    for (const float x : h.values) {
      const long double e = static_cast<long double>(x) - mean;
      m2 += e * e;
      m3 += e * e * e;
      m4 += e * e * e * e;
    }
  }

  float quantile(double q) const {
    return sorted[static_cast<std::size_t>(q * static_cast<double>(sorted.size() - 1))];
  }
  // Lower median of the magnitudes of all values but one.
  static float other_median(std::vector<float> values, float without) {
    values.erase(std::find(values.begin(), values.end(), without));
    if (values.empty()) return 0.0f;
    std::sort(values.begin(), values.end());
    return values[(values.size() - 1) / 2];
  }
};

const SequenceMagnitudes& only(const Magnitudes& magnitudes) {
  return magnitudes.layers().begin()->second.sequences.front();
}

void expect_like_reference(Hidden& hidden, std::int64_t k) {
  Threads threads(2);
  Magnitudes magnitudes({.top_k = k});
  show(magnitudes, hidden, threads);
  const SequenceMagnitudes& got = only(magnitudes);
  const Reference want(hidden, static_cast<std::size_t>(k));
  ASSERT_EQ(got.top.size(), want.top.size());
  for (std::size_t i = 0; i < want.top.size(); ++i) {
    EXPECT_EQ(got.top[i].value, want.top[i].value) << i;
    EXPECT_EQ(got.top[i].position, want.top[i].position) << i;
    EXPECT_EQ(got.top[i].dimension, want.top[i].dimension) << i;
  }
  for (std::size_t i = 0; i < kQuantiles.size(); ++i) {
    EXPECT_EQ(got.quantiles[i], want.quantile(kQuantiles[i])) << kQuantiles[i];
  }
  EXPECT_EQ(got.median(), static_cast<double>(want.sorted[(want.sorted.size() - 1) / 2]));
  const auto near = [](double a, long double b, long double scale) {
    EXPECT_NEAR(a, static_cast<double>(b), static_cast<double>(1e-12L * scale));
  };
  near(got.mean_abs, want.mean_abs, want.mean_abs);
  near(got.powers.mean, want.mean, want.mean_abs);
  near(got.powers.m2, want.m2, want.m2);
  near(got.powers.m4, want.m4, want.m4);
  near(got.powers.m3, want.m3, std::pow(want.m4, 0.75L) + std::abs(want.m3));
  const auto& layer = magnitudes.layers().begin()->second;
  for (std::int64_t c = 0; c < hidden.cols; ++c) {
    std::uint64_t count = 0;
    for (std::int64_t r = 0; r < hidden.rows; ++r) count += std::abs(hidden.at(r, c)) >= 6.0f;
    EXPECT_EQ(layer.outlier_counts[static_cast<std::size_t>(c)], count) << c;
  }
}

struct Size {
  std::int64_t rows, cols;
};
class MagnitudesOfSize : public ::testing::TestWithParam<Size> {};

TEST_P(MagnitudesOfSize, EqualTheDefinition) {
  const auto [rows, cols] = GetParam();
  Hidden hidden = gaussian(rows, cols, 11);
  for (float& x : hidden.values) x = 3.0f * x + 0.25f;
  for (const std::int64_t k : {1, 5, 64}) expect_like_reference(hidden, k);
}

TEST_P(MagnitudesOfSize, EqualTheDefinitionWithTiesAndZeros) {
  const auto [rows, cols] = GetParam();
  Hidden hidden(rows, cols);
  Random random(5);
  for (float& x : hidden.values) {
    x = static_cast<float>(static_cast<int>(random.bits() % 5) - 2) * 0.5f;  // -1 … 1
  }
  expect_like_reference(hidden, 7);
  Hidden constant(rows, cols, -2.5f);
  expect_like_reference(constant, 7);
  Hidden zero(rows, cols);
  expect_like_reference(zero, 7);
}

INSTANTIATE_TEST_SUITE_P(Sizes, MagnitudesOfSize,
                         ::testing::Values(Size{1, 1}, Size{1, 7}, Size{3, 5}, Size{37, 129},
                                           Size{301, 64}, Size{20, 7001}, Size{2, 70000}),
                         [](const auto& param) {
                           return std::to_string(param.param.rows) + "x" +
                                  std::to_string(param.param.cols);
                         });

TEST(Magnitudes, KeepDenormalsAndTheLargestFloatApart) {
  Hidden hidden(2, 3);
  hidden.values = {1e-40f, -3.4e38f, 0.0f, 1e-45f, 1e-38f, -0.0f};
  expect_like_reference(hidden, 6);
}

TEST(Magnitudes, SurvivesMassiveValuesInKurtosis) {
  Hidden hidden = gaussian(64, 512, 3);
  hidden.at(0, 100) = 15000.0f;
  hidden.at(0, 200) = -9000.0f;
  expect_like_reference(hidden, 64);
  Threads threads(1);
  Magnitudes magnitudes;
  show(magnitudes, hidden, threads);
  EXPECT_EQ(only(magnitudes).excess_kurtosis(), only(magnitudes).kurtosis() - 3.0);
  EXPECT_GT(only(magnitudes).kurtosis(), 1000.0);
}

TEST(Magnitudes, KurtosisOfANormalDistributionIsThree) {
  Hidden hidden = gaussian(512, 512, 9);
  Threads threads(2);
  Magnitudes magnitudes;
  show(magnitudes, hidden, threads);
  EXPECT_NEAR(only(magnitudes).kurtosis(), 3.0, 0.05);
  EXPECT_NEAR(only(magnitudes).median(), 0.6745, 0.01);
}

TEST(Magnitudes, OrderStatisticsAreThoseOfSorting) {
  Random random(5);
  for (std::size_t count = 2; count < 80; ++count) {
    std::vector<float> values(count), sorted(count);
    for (float& x : values) {
      x = random.uniform() < 0.3 ? std::round(2 * static_cast<float>(random.normal()))  // ties, ±0
                                 : 1e3f * static_cast<float>(random.normal());
    }
    std::transform(values.begin(), values.end(), sorted.begin(),
                   [](float x) { return std::abs(x); });
    std::sort(sorted.begin(), sorted.end());
    for (std::size_t rank = 0; rank + 1 < count; ++rank) {
      const OrderStatistics got = order_statistics(values, rank);
      ASSERT_EQ(got.at, sorted[rank]) << rank << " of " << count;
      ASSERT_EQ(got.next, sorted[rank + 1]) << rank << " of " << count;
    }
  }
}

TEST(Magnitudes, BackgroundsAreTheMediansOfTheOthers) {
  for (const Size size : {Size{1, 9}, Size{2, 9}, Size{9, 2}, Size{40, 31}, Size{130, 200}}) {
    Hidden hidden = gaussian(size.rows, size.cols, 21);
    hidden.at(0, 1) = -400.0f;
    hidden.at(size.rows / 2, 1) = 300.0f;
    Threads threads(2);
    Magnitudes magnitudes({.top_k = 12});
    show(magnitudes, hidden, threads);
    const SequenceMagnitudes& got = only(magnitudes);
    ASSERT_FALSE(got.peaks.empty());
    for (const auto* list : {&got.top, &got.peaks}) {
      for (const Magnitude& m : *list) {
        if (list == &got.top && std::abs(m.value) < 10.0f * got.quantiles[1]) {
          EXPECT_EQ(m.token_median, 0.0f);
          continue;
        }
        std::vector<float> row, column;
        for (std::int64_t c = 0; c < size.cols; ++c) {
          row.push_back(std::abs(hidden.at(m.position, c)));
        }
        for (std::int64_t r = 0; r < size.rows; ++r) {
          column.push_back(std::abs(hidden.at(r, m.dimension)));
        }
        EXPECT_EQ(m.token_median, Reference::other_median(row, std::abs(m.value)));
        EXPECT_EQ(m.dimension_median, Reference::other_median(column, std::abs(m.value)));
      }
    }
    // Peaks: each column's largest, falling.
    std::vector<float> want;
    for (std::int64_t c = 0; c < size.cols; ++c) {
      float largest = 0.0f;
      for (std::int64_t r = 0; r < size.rows; ++r) {
        largest = std::max(largest, std::abs(hidden.at(r, c)));
      }
      want.push_back(largest);
    }
    std::sort(want.rbegin(), want.rend());
    want.resize(std::min<std::size_t>(want.size(), 12));
    std::vector<float> peaks;
    for (const Magnitude& m : got.peaks) {
      peaks.push_back(std::abs(m.value));
      EXPECT_EQ(hidden.at(m.position, m.dimension), m.value);
    }
    EXPECT_EQ(peaks, want);
  }
}

TEST(Magnitudes, CountsTheStrictRuleBeyondTheTop) {
  Hidden hidden = gaussian(50, 400, 2);
  for (int i = 0; i < 20; ++i) hidden.at(i, 3 * i) = i % 2 ? 5000.0f : -4000.0f;
  hidden.at(30, 0) = 99.0f;
  Threads threads(2);
  for (const std::int64_t k : {4, 64}) {
    Magnitudes magnitudes({.top_k = k});
    show(magnitudes, hidden, threads);
    EXPECT_EQ(only(magnitudes).strict_count, 20);
  }
}

void fill(Magnitudes& magnitudes, Threads& threads, std::int64_t first, std::int64_t end) {
  for (int block = 0; block < 3; ++block) {
    for (std::int64_t s = first; s < end; ++s) {
      Hidden hidden = gaussian(30 + s, 1500, static_cast<std::uint64_t>(100 * block + s));
      hidden.at(0, 7) = 900.0f;
      show(magnitudes, hidden, threads, block, s);
    }
  }
}

TEST(Magnitudes, AreTheSameForAnyThreadsAndMerges) {
  Threads one(1), four(4);
  Magnitudes all, first, middle, last;
  fill(all, one, 0, 7);
  fill(first, four, 0, 2);
  fill(middle, one, 2, 3);
  fill(last, four, 3, 7);
  first.merge(middle);
  first.merge(last);
  EXPECT_EQ(first.layers(), all.layers());
  Magnitudes other_order;
  other_order.merge(last);
  Magnitudes again;
  fill(again, four, 0, 3);
  other_order.merge(again);
  EXPECT_EQ(other_order.layers(), all.layers());
  EXPECT_EQ(all.sequence_count(), 7);
}

TEST(Magnitudes, RefusesToCountASequenceTwice) {
  Threads threads(1);
  Magnitudes a, b;
  fill(a, threads, 0, 2);
  fill(b, threads, 1, 3);
  EXPECT_THROW(a.merge(b), Error);
  Hidden hidden = gaussian(4, 1500, 1);
  EXPECT_THROW(show(b, hidden, threads, 0, 2), Error);
  Magnitudes narrow;
  show(narrow, hidden, threads, 0, 9);
  Hidden wide = gaussian(4, 1501, 1);
  Magnitudes other;
  show(other, wide, threads, 0, 10);
  EXPECT_THROW(narrow.merge(other), Error);
  EXPECT_THROW(show(narrow, wide, threads, 0, 11), Error);
}

TEST(Magnitudes, TakesASequenceInPieces) {
  Hidden hidden = gaussian(50, 300, 4);
  Threads threads(2);
  Magnitudes whole, pieces;
  show(whole, hidden, threads, 2, 3);
  const std::vector<std::int32_t> tokens(50, 0);
  for (const auto& [first, count] : {std::pair{0, 20}, {20, 1}, {21, 29}}) {
    SiteView view;
    view.site = {SiteKind::resid_post, 2};
    view.sequence = 3;
    view.tokens = tokens;
    view.first_position = first;
    view.values = hidden.view().slice_rows(first, count);
    pieces.observe(view, threads);
  }
  EXPECT_EQ(pieces.layers(), whole.layers());
}

TEST(Magnitudes, NamesWhereAValueIsNotFinite) {
  Threads threads(2);
  for (const float bad :
       {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
        std::numeric_limits<float>::quiet_NaN()}) {
    Hidden hidden = gaussian(200, 700, 4);
    hidden.at(150, 9) = bad;
    hidden.at(151, 3) = bad;
    Magnitudes magnitudes;
    try {
      show(magnitudes, hidden, threads, 4, 6);
      ADD_FAILURE() << "expected an Error for " << bad;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), ::testing::AllOf(::testing::HasSubstr("layer 5"),
                                                 ::testing::HasSubstr("blocks.4.hook_resid_post"),
                                                 ::testing::HasSubstr("sequence 6"),
                                                 ::testing::HasSubstr("position 150"),
                                                 ::testing::HasSubstr("dimension 9")));
    }
  }
}

TEST(Magnitudes, RefusesSitesThatAreNoHiddenState) {
  Threads threads(1);
  Hidden hidden = gaussian(4, 8, 1);
  const std::vector<std::int32_t> tokens(4, 0);
  for (const Site site : {Site{SiteKind::attn_out, 1}, Site{SiteKind::resid_pre, 1}}) {
    Magnitudes magnitudes;
    SiteView view;
    view.site = site;
    view.tokens = tokens;
    view.values = hidden.view();
    EXPECT_THROW(magnitudes.observe(view, threads), Error);
  }
}

TEST(AbsHistogram, PooledQuantilesAreWithinTheirResolution) {
  Threads threads(2);
  Magnitudes magnitudes;
  std::vector<float> all;
  for (std::int64_t s = 0; s < 5; ++s) {
    Hidden hidden = gaussian(40, 333, static_cast<std::uint64_t>(s));
    for (float& x : hidden.values) x *= static_cast<float>(s + 1);
    for (const float x : hidden.values) all.push_back(std::abs(x));
    show(magnitudes, hidden, threads, 0, s);
  }
  std::sort(all.begin(), all.end());
  const LayerMagnitudes& layer = magnitudes.layers().at(1);
  EXPECT_EQ(layer.tokens, 200u);
  for (const double q : kQuantiles) {
    const auto exact = static_cast<double>(all[quantile_rank(q, all.size())]);
    EXPECT_NEAR(layer.quantile_pooled(q), exact, exact * 0x1p-12) << q;
  }
}

}  // namespace
}  // namespace massact::observe
