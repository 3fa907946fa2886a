#include "massact/run/finding.h"

#include <gtest/gtest.h>

#include <limits>

#include "massact/base/error.h"
#include "massact/observe/find.h"
#include "massact/observe/tail_gap.h"
#include "unit/observe/backgrounds.h"

namespace massact::observe {
namespace {

using massact::testing::Background;
using massact::testing::finds_planted;
using massact::testing::Hidden;
using massact::testing::kPlanted;
using massact::testing::PlainLabels;
using massact::testing::scan_background;

TEST(Rule, ReadsAndWritesItself) {
  EXPECT_EQ(Rule::parse("strict"), Rule::strict());
  EXPECT_EQ(Rule::parse("auto"), Rule::automatic());
  EXPECT_EQ(Rule::parse("50,200.5"), Rule::thresholds(50.0, 200.5));
  for (const char* text : {"strict", "auto", "100,1000", "0,12.5"}) {
    EXPECT_EQ(Rule::parse(text).to_string(), text);
  }
  for (const char* text :
       {"", "Strict", "100", "100,", ",3", "100,1000,1", "-1,5", "nan,1", "1,inf", "1 ,2", "a,b"}) {
    EXPECT_THROW(Rule::parse(text), UsageError) << text;
  }
}

TEST(Rule, StrictNeedsBothConditions) {
  const Rule rule = Rule::strict();
  EXPECT_TRUE(rule.met_by(500.0, 0.5));
  EXPECT_FALSE(rule.met_by(499.0, 0.5));
  EXPECT_FALSE(rule.met_by(100.0, 0.01));  // more than 100, not 100
  EXPECT_TRUE(rule.met_by(100.1, 0.01));
  EXPECT_FALSE(rule.met_by(50.0, 0.001));
}

TEST(Excess, ComparesWithTokenAndDimension) {
  EXPECT_DOUBLE_EQ(excess({.value = -8.0f, .token_median = 0.5f, .dimension_median = 1.0f}, 1.0),
                   8);
  EXPECT_DOUBLE_EQ(excess({.value = 8.0f, .token_median = 4.0f, .dimension_median = 0.5f}, 1.0), 2);
  EXPECT_DOUBLE_EQ(excess({.value = 8.0f, .token_median = 2.0f, .dimension_median = 4.0f}, 1.0), 1);
  EXPECT_DOUBLE_EQ(excess({.value = 8.0f}, 0.0), 0.0);
}

TEST(FindGap, MeasuresTheGap) {
  SequenceMagnitudes sequence;
  sequence.quantiles.fill(1.0f);
  for (int i = 0; i < 40; ++i) {
    const float value =
        i < 3 ? 200.0f + static_cast<float>(i) : 6.0f - 0.05f * static_cast<float>(i);
    sequence.peaks.push_back({value, 0, i, 1.0f, 1.0f});
  }
  const TailGap gap = find_gap(sequence);
  EXPECT_EQ(gap.beyond, 3);
  EXPECT_NEAR(gap.middle, std::sqrt(200.0 * 5.85), 1e-3);
  EXPECT_NEAR(gap.width, 200.0 / 5.85, 1e-4);
  EXPECT_LT(gap.log_p, -20.0);
  sequence.peaks.resize(4);
  EXPECT_EQ(find_gap(sequence).beyond, 0) << "too few peaks to speak of a tail";
  sequence.peaks.assign(40, {7.0f, 0, 0, 1.0f, 1.0f});
  EXPECT_EQ(find_gap(sequence).beyond, 0) << "all equal";
}

// The rates over many seeds are in docs/rules.md; here a few seeds of every kind.
TEST(AutomaticRule, FindsNothingInBackgrounds) {
  Threads threads(2);
  for (const Background& background : massact::testing::backgrounds()) {
    for (std::uint64_t seed = 1000; seed < 1003; ++seed) {
      for (const auto& [rows, cols] : {std::pair{64, 32}, {96, 200}}) {
        const FindingSet set = scan_background(
            background, {.rows = rows, .cols = cols, .layers = 1, .sequences = 3}, seed, threads);
        EXPECT_TRUE(set.findings.empty()) << background.name << " " << seed << " " << cols;
      }
    }
  }
}

TEST(AutomaticRule, FindsPlantedActivationsFrom50MediansUp) {
  Threads threads(2);
  for (const double spread : {0.0, 0.5}) {
    for (const double ratio : {50.0, 100.0, 1000.0}) {
      for (std::uint64_t seed = 0; seed < 3; ++seed) {
        const Background background{.name = "", .dimension_spread = spread, .planted_ratio = ratio};
        const FindingSet set =
            scan_background(background, {.rows = 96, .cols = 300, .sequences = 4}, seed, threads);
        EXPECT_TRUE(finds_planted(set, Label::massive)) << spread << " " << ratio << " " << seed;
        EXPECT_EQ(set.findings.size(), 2u) << spread << " " << ratio << " " << seed;
        ASSERT_EQ(set.gaps.size(), 1u);
        EXPECT_EQ(set.gaps[0].layer, 1);
        EXPECT_NEAR(set.gaps[0].ratio, ratio, 0.01 * ratio);
        EXPECT_GT(set.gaps[0].gap, 3.0);
        EXPECT_LT(set.gaps[0].log10_p_value, -4.0);
      }
    }
  }
}

TEST(AutomaticRule, FindsWeakerScalarsOfADimensionBeyondTheGap) {
  Threads threads(2);
  Magnitudes magnitudes;
  for (int s = 0; s < 3; ++s) {
    Hidden hidden = massact::testing::gaussian(60, 100, static_cast<std::uint64_t>(s));
    hidden.at(0, 7) = 2000.0f;
    hidden.at(11, 7) = -500.0f;
    massact::testing::show(magnitudes, hidden, threads, 0, s);
  }
  const FindingSet set = magnitudes.findings(Rule::automatic(), PlainLabels{});
  ASSERT_EQ(set.findings.size(), 2u);
  EXPECT_EQ(set.findings[0].position_class, "start");
  EXPECT_DOUBLE_EQ(set.findings[1].mean, -500.0);
  EXPECT_EQ(set.findings[1].scalars, 3);
  EXPECT_DOUBLE_EQ(set.gaps.at(0).threshold, 500.0);
}

TEST(AutomaticRule, CallsSmallerOnesLarge) {
  Threads threads(2);
  const Background background{.name = "", .planted_ratio = 30.0};
  const FindingSet set =
      scan_background(background, {.rows = 96, .cols = 300, .sequences = 6}, 1, threads);
  EXPECT_TRUE(finds_planted(set, Label::large));
  EXPECT_FALSE(set.has_massive());
}

TEST(AutomaticRule, LeavesDimensionsThatAreAlwaysLargeAlone) {
  Threads threads(2);
  const Background background{.name = "", .outlier_dimensions = 3, .planted_ratio = 1000.0};
  const FindingSet set =
      scan_background(background, {.rows = 96, .cols = 300, .sequences = 3}, 1, threads);
  ASSERT_EQ(set.findings.size(), 2u);
  for (const Finding& f : set.findings) EXPECT_TRUE(f.dimension == 3 || f.dimension == 17);
}

// v / n added n times is not v: without care, constant values get a σ of 1e-16 of their mean.
TEST(StrictRule, EqualValuesHaveNoSpread) {
  Threads threads(2);
  Magnitudes magnitudes;
  for (int s = 0; s < 11; ++s) {
    Hidden hidden = massact::testing::gaussian(40, 64, static_cast<std::uint64_t>(s));
    hidden.at(0, 7) = -1415.3f;
    hidden.at(1, 9) = 1200.7f;
    massact::testing::show(magnitudes, hidden, threads, 0, s);
  }
  const FindingSet set = magnitudes.findings(Rule::strict(), PlainLabels{});
  ASSERT_EQ(set.findings.size(), 2u);
  EXPECT_EQ(set.findings[0].mean, double{-1415.3f});
  EXPECT_EQ(set.findings[1].mean, double{1200.7f});
  for (const Finding& f : set.findings) {
    EXPECT_EQ(f.scalars, 11);
    EXPECT_EQ(f.sigma, 0.0);
    EXPECT_EQ(f.cv, 0.0);
  }
}

TEST(StrictRule, AMedianOfZeroIsAnInfiniteRatio) {
  Threads threads(2);
  Magnitudes magnitudes;
  Hidden hidden(40, 64);
  hidden.at(0, 7) = 200.0f;
  massact::testing::show(magnitudes, hidden, threads);
  const FindingSet set = magnitudes.findings(Rule::strict(), PlainLabels{});
  ASSERT_EQ(set.findings.size(), 1u);
  EXPECT_EQ(set.findings[0].ratio, std::numeric_limits<double>::infinity());
}

TEST(StrictRule, FindsPlantedActivationsExactly) {
  Threads threads(2);
  Magnitudes magnitudes;
  for (int layer = 0; layer < 5; ++layer) {
    for (int s = 0; s < 4; ++s) {
      Hidden hidden = massact::testing::gaussian(40, 64, static_cast<std::uint64_t>(9 * layer + s));
      if (layer >= 1 && layer <= 3) {
        hidden.at(0, 7) = -1500.0f - static_cast<float>(10 * s);
        if (s < 2) hidden.at(13, 9) = 2000.0f;
        if (s < 2) hidden.at(14, 9) = 3000.0f;
      }
      hidden.at(5, 5) = 99.0f;   // ratio without size, given the median of 0.67
      hidden.at(6, 5) = 500.0f;  // size without ratio
      massact::testing::show(magnitudes, hidden, threads, layer, s);
    }
  }
  const FindingSet set = magnitudes.findings(Rule::strict(), PlainLabels{});
  ASSERT_EQ(set.findings.size(), 2u);
  EXPECT_EQ(set.truncated, 0);
  EXPECT_TRUE(set.gaps.empty());
  const Finding& other = set.findings[0];  // the larger ratio
  EXPECT_EQ(other.dimension, 9);
  EXPECT_EQ(other.position_class, "other");
  EXPECT_EQ(other.scalars, 4);
  EXPECT_DOUBLE_EQ(other.mean, 2500.0);
  EXPECT_DOUBLE_EQ(other.sigma, 500.0);
  EXPECT_DOUBLE_EQ(other.cv, 0.2);
  EXPECT_DOUBLE_EQ(other.max_abs, 3000.0);
  EXPECT_DOUBLE_EQ(other.sequence_share, 0.5);
  EXPECT_EQ(other.token, "t13");  // as often as t14: the smaller id
  EXPECT_DOUBLE_EQ(other.token_share, 0.5);
  const Finding& start = set.findings[1];
  EXPECT_EQ(start.dimension, 7);
  EXPECT_EQ(start.position_class, "start");
  EXPECT_EQ(start.label, Label::massive);
  EXPECT_EQ(start.first_layer, 2);
  EXPECT_EQ(start.last_layer, 4);
  EXPECT_EQ(start.layers.size(), 3u);
  EXPECT_EQ(start.scalars, 4);
  EXPECT_DOUBLE_EQ(start.mean, -1515.0);
  EXPECT_NEAR(start.sigma, std::sqrt(125.0), 1e-9);
  EXPECT_DOUBLE_EQ(start.sequence_share, 1.0);
  EXPECT_NEAR(start.ratio, 1515.0 / 0.6745, 100.0);
  EXPECT_EQ(start.example.sequence, 3);
  EXPECT_EQ(start.example.position, 0);
  EXPECT_EQ(start.example.value, -1530.0f);
  EXPECT_EQ(start.example.before, "before");
  ASSERT_EQ(start.values.size(), 4u);
  EXPECT_EQ(start.values[2].sequence, 2);
  EXPECT_EQ(start.values[2].value, -1520.0f);
}

TEST(StrictRule, SaysWhenItCouldNotKeepEverything) {
  Threads threads(1);
  Magnitudes magnitudes({.top_k = 4});
  Hidden hidden = massact::testing::gaussian(40, 64, 1);
  for (int i = 0; i < 6; ++i) hidden.at(i, i) = 5000.0f + static_cast<float>(i);
  massact::testing::show(magnitudes, hidden, threads);
  const FindingSet set = magnitudes.findings(Rule::strict(), PlainLabels{});
  EXPECT_EQ(set.truncated, 1);
  EXPECT_EQ(set.findings.size(), 4u);
  EXPECT_EQ(magnitudes.findings(Rule::thresholds(5004.0, 10.0), PlainLabels{}).truncated, 0);
}

TEST(Candidates, AreTheLargestLabelledNotMassive) {
  Threads threads(1);
  Magnitudes magnitudes;
  for (int s = 0; s < 3; ++s) {
    Hidden hidden = massact::testing::gaussian(40, 64, static_cast<std::uint64_t>(s));
    hidden.at(s == 2 ? 8 : 0, 11) = 9.0f;
    massact::testing::show(magnitudes, hidden, threads, 0, s);
  }
  EXPECT_TRUE(magnitudes.findings(Rule::strict(), PlainLabels{}).findings.empty());
  const FindingSet set = magnitudes.candidates(8, PlainLabels{});
  ASSERT_EQ(set.findings.size(), 2u);
  EXPECT_FALSE(set.has_massive());
  for (const Finding& f : set.findings) {
    EXPECT_EQ(f.dimension, 11);
    EXPECT_EQ(f.label, Label::not_massive);
  }
  EXPECT_EQ(magnitudes.candidates(1, PlainLabels{}).findings.size(), 1u);
}

TEST(OutlierDimensions, FollowTheDefinition) {
  Threads threads(1);
  Magnitudes magnitudes;
  for (int layer = 0; layer < 8; ++layer) {
    Hidden hidden(100, 6, 0.5f);
    for (int t = 0; t < 6; ++t) {
      if (layer < 2) hidden.at(t, 1) = -6.0f;          // 6 % of tokens, 2 of 8 layers: it is one
      if (layer < 1) hidden.at(t, 2) = 7.0f;           // too few layers
      if (layer < 4 && t < 5) hidden.at(t, 3) = 9.0f;  // too few tokens
      if (layer < 4) hidden.at(t, 4) = 5.99f;          // too small
    }
    massact::testing::show(magnitudes, hidden, threads, layer, 0);
  }
  const auto outliers = outlier_dimensions(magnitudes);
  ASSERT_EQ(outliers.size(), 1u);
  EXPECT_EQ(outliers[0].dimension, 1);
  EXPECT_DOUBLE_EQ(outliers[0].layer_share, 0.25);
  EXPECT_DOUBLE_EQ(outliers[0].token_share, 12.0 / 800.0);
}

}  // namespace
}  // namespace massact::observe
