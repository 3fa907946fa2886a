#include "massact/edit/edits.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "massact/base/error.h"

namespace massact::edit {
namespace {

// Position 0 is `start`, position 2 `delimiter`, the rest `other`.
class FewLabels final : public PositionLabels {
 public:
  std::string_view position_class(std::int64_t, std::int64_t position) const override {
    if (position == 0) return "start";
    return position == 2 ? "delimiter" : "other";
  }
  std::int32_t token_id(std::int64_t, std::int64_t) const override { return 1; }
  std::string token_text(std::int64_t, std::int64_t) const override { return "x"; }
  std::string text_before(std::int64_t, std::int64_t) const override { return ""; }
  std::string text_after(std::int64_t, std::int64_t) const override { return ""; }
};

// A sequence of 4 tokens and 3 dimensions with the values 1 … 12.
struct Sample {
  std::vector<float> values;
  std::vector<std::int32_t> tokens = {5, 6, 7, 8};
  SiteView view;

  Sample() {
    for (int i = 1; i <= 12; ++i) values.push_back(static_cast<float>(i));
    view.site = {SiteKind::resid_post, 0};
    view.tokens = tokens;
    view.values = FloatMatrix(values.data(), 4, 3);
  }
  float at(std::int64_t row, std::int64_t column) const { return view.values(row, column); }
};

const auto kLabels = std::make_shared<const FewLabels>();

std::shared_ptr<const Selector> at_class(const std::string& name, std::vector<std::int64_t> dims) {
  return by_position({Positions::Kind::position_class, name, {}}, std::move(dims), kLabels, 0);
}

TEST(Edits, ChangeWhatIsSelectedAndNothingElse) {
  Sample sample;
  EXPECT_EQ(edit_scalars(at_class("other", {1}), zero(), 0)->apply(sample.view), 2);
  EXPECT_EQ(sample.at(1, 1), 0.0f);
  EXPECT_EQ(sample.at(3, 1), 0.0f);
  EXPECT_EQ(sample.at(0, 1), 2.0f);
  EXPECT_EQ(sample.at(1, 0), 4.0f);
  EXPECT_EQ(edit_scalars(by_position({}, {}, kLabels, 0), scale(2.0f), 0)->apply(sample.view), 12);
  EXPECT_EQ(sample.at(3, 2), 24.0f);
  EXPECT_EQ(
      edit_scalars(by_position({Positions::Kind::index, "", {3, 9}}, {0}, kLabels, 0), set(7), 0)
          ->apply(sample.view),
      1);
  EXPECT_EQ(sample.at(3, 0), 7.0f);
  edit_scalars(at_class("start", {2}), clamp(1.5f), 0)->apply(sample.view);
  EXPECT_EQ(sample.at(0, 2), 1.5f);
}

TEST(Edits, PositionsCountTheSinkTokensRow) {
  // A final site of a model with a sink token: its row is not shown, row 0 is position 1.
  Sample sample;
  EXPECT_EQ(edit_scalars(by_position({Positions::Kind::index, "", {1}}, {0}, kLabels, 1), zero(), 1)
                ->apply(sample.view),
            1);
  EXPECT_EQ(sample.at(0, 0), 0.0f);
}

TEST(Edits, MeansAreByClassAndDimension) {
  auto means = std::make_shared<Means>();
  means->add("start", 1, -4.0);
  means->add("start", 1, -6.0);
  Sample sample;
  edit_scalars(at_class("start", {1}), mean(means, kLabels), 0)->apply(sample.view);
  EXPECT_EQ(sample.at(0, 1), -5.0f);
  EXPECT_EQ(means->find("start", 1)->n, 2);
  const auto other = edit_scalars(at_class("delimiter", {1}), mean(means, kLabels), 0);
  EXPECT_THROW(other->apply(sample.view), Error);
}

TEST(Edits, NoiseIsAFunctionOfSeedAndPlace) {
  Sample a, b, c;
  const auto everywhere = std::shared_ptr<const Selector>(by_position({}, {}, kLabels, 0));
  edit_scalars(everywhere, noise(0.5, false, 1), 0)->apply(a.view);
  edit_scalars(everywhere, noise(0.5, false, 1), 0)->apply(b.view);
  edit_scalars(everywhere, noise(0.5, false, 2), 0)->apply(c.view);
  EXPECT_EQ(a.values, b.values);
  EXPECT_NE(a.values, c.values);
  const Change change = noise(0.5, false, 3);
  double sum = 0.0, squares = 0.0;
  constexpr int kCount = 20000;
  for (int i = 0; i < kCount; ++i) {
    const auto x = static_cast<double>(change.apply(0.0f, {{}, 0, i, 0}));
    sum += x;
    squares += x * x;
  }
  EXPECT_NEAR(sum / kCount, 0.0, 0.02);
  EXPECT_NEAR(std::sqrt(squares / kCount), 0.5, 0.02);
}

TEST(Edits, NoiseDiffersAtEverySite) {
  const Change change = noise(1.0, false, 3);
  std::set<float> values;
  for (const Site site : {Site{SiteKind::resid_post, 0}, Site{SiteKind::resid_post, 1},
                          Site{SiteKind::mlp_out, 0}, Site{SiteKind::embed, -1}}) {
    values.insert(change.apply(0.0f, {site, 0, 2, 5}));
    EXPECT_EQ(change.apply(0.0f, {site, 0, 2, 5}), change.apply(0.0f, {site, 0, 2, 5}));
  }
  EXPECT_EQ(values.size(), 4u);
}

TEST(Edits, NoiseOfASequenceDoesNotDependOnItsPieces) {
  Sample whole, pieces;
  const auto everywhere = std::shared_ptr<const Selector>(by_position({}, {}, kLabels, 0));
  edit_scalars(everywhere, noise(0.5, true, 1), 0)->apply(whole.view);
  for (std::int64_t row = 0; row < 4; ++row) {
    SiteView piece = pieces.view;
    piece.first_position = row;
    piece.values = pieces.view.values.slice_rows(row, 1);
    edit_scalars(everywhere, noise(0.5, true, 1), 0)->apply(piece);
  }
  EXPECT_EQ(whole.values, pieces.values);
}

TEST(Selectors, ControlsTakeOtherDimensionsOfTheSameTokens) {
  const ScalarLists found = {{0, {{0, 3}, {0, 7}, {2, 3}}}, {4, {{1, 0}}}};
  const ScalarLists random = random_instead_of(found, 16, 9);
  EXPECT_EQ(count_of(random), 4);
  for (const auto& [sequence, list] : random) {
    std::set<Scalar> unique(list.begin(), list.end());
    EXPECT_EQ(unique.size(), list.size());
    for (const Scalar& scalar : list) {
      const auto& own = found.at(sequence);
      EXPECT_EQ(std::count(own.begin(), own.end(), scalar), 0);
      EXPECT_TRUE(std::any_of(own.begin(), own.end(), [&](const Scalar& other) {
        return other.position == scalar.position;
      }));
    }
  }
  EXPECT_EQ(random_instead_of(found, 16, 9), random);
  EXPECT_NE(random_instead_of(found, 16, 10), random);

  const std::vector<std::int64_t> candidates = {7, 11, 3, 12};
  const ScalarLists outliers = candidates_instead_of(found, candidates);
  EXPECT_EQ(outliers.at(0), (std::vector<Scalar>{{0, 11}, {0, 12}, {2, 11}}));
  EXPECT_TRUE(candidates_instead_of(found, std::vector<std::int64_t>{3, 7}).empty());
}

TEST(Selectors, NearMedianTakesTheNearestMagnitudes) {
  Sample sample;
  sample.values = {1, -9, 5, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  sample.view.values = FloatMatrix(sample.values.data(), 4, 3);
  const auto found = std::make_shared<const ScalarLists>(ScalarLists{{0, {{0, 0}}}});
  const auto selector = near_median(found, {{0, 6.0}}, 0);
  std::vector<Scalar> chosen;
  selector->select(sample.view, [&](std::int64_t position, auto dimensions) {
    for (const auto d : dimensions) chosen.push_back({position, d});
  });
  EXPECT_EQ(chosen, (std::vector<Scalar>{{0, 2}}));
}

TEST(Quantise, RoundsToStepsOfTheLargest) {
  Sample sample;
  sample.values = {127, 63.6f, -0.4f, 10, 5, 0, 0, 0, 0, 1, 1, 1};
  sample.view.values = FloatMatrix(sample.values.data(), 4, 3);
  quantise({.bits = 8, .per_token = true, .apart = {}, .means = {}, .labels = {}}, 0)
      ->apply(sample.view);
  EXPECT_EQ(sample.at(0, 0), 127.0f);
  EXPECT_EQ(sample.at(0, 1), 64.0f);
  EXPECT_EQ(sample.at(0, 2), 0.0f);
  EXPECT_EQ(sample.at(2, 1), 0.0f);  // a row of zeros stays one
  EXPECT_THROW(quantise({.bits = 3, .per_token = true, .apart = {}, .means = {}, .labels = {}}, 0),
               UsageError);
}

TEST(Quantise, ScalarsApartSetNoStep) {
  Sample sample;
  sample.values = {1000, 7, 3, 1, 2, 3, 4, 5, 6, 7, 6, 5};
  sample.view.values = FloatMatrix(sample.values.data(), 4, 3);
  const auto list = std::make_shared<const ScalarLists>(ScalarLists{{0, {{0, 0}}}});
  Quantisation options{.bits = 4,
                       .per_token = false,
                       .apart = by_list("massive", list, 0),
                       .means = {},
                       .labels = {}};
  quantise(options, 0)->apply(sample.view);
  EXPECT_EQ(sample.at(0, 0), 1000.0f);
  EXPECT_EQ(sample.at(0, 1), 7.0f);  // step 1: whole numbers stay
  EXPECT_EQ(sample.at(3, 2), 5.0f);
}

}  // namespace
}  // namespace massact::edit
