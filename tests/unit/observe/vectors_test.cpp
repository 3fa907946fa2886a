// The observers of `massact explain` that need no model.
#include <gtest/gtest.h>

#include "massact/observe/extremes.h"
#include "massact/observe/vector_path.h"

namespace massact::observe {
namespace {

class ClassesByPosition final : public PositionLabels {
 public:
  std::string_view position_class(std::int64_t, std::int64_t position) const override {
    return position == 0 ? "start" : position % 2 == 0 ? "weak" : "other";
  }
  std::int32_t token_id(std::int64_t, std::int64_t) const override { return -1; }
  std::string token_text(std::int64_t, std::int64_t) const override { return ""; }
  std::string text_before(std::int64_t, std::int64_t) const override { return ""; }
  std::string text_after(std::int64_t, std::int64_t) const override { return ""; }
};

SiteView view_of(std::vector<float>& values, std::int64_t rows, std::int64_t sequence) {
  SiteView view;
  view.site = {SiteKind::ln1_out, 2};
  view.sequence = sequence;
  view.values = {values.data(), rows, std::ssize(values) / rows};
  return view;
}

TEST(VectorPath, TellsConstantVectorsFromOthers) {
  TokenLists massive;
  massive[2][0] = massive[2][1] = {0, 4};
  VectorPath path({.massive = std::make_shared<const MassiveTokens>(massive),
                   .labels = std::make_shared<const ClassesByPosition>(),
                   .per_class = 2});
  Threads threads(2);
  for (std::int64_t sequence = 0; sequence < 2; ++sequence) {
    // Massive tokens are (3, 4, 0, 0); the others point into opposite directions in turn.
    std::vector<float> values;
    for (int position = 0; position < 8; ++position) {
      const bool is_massive = position == 0 || position == 4;
      const float sign = (position / 2 + sequence) % 2 == 0 ? 1.0f : -1.0f;
      for (const float x : {3.0f, 4.0f, 0.0f, 0.0f}) values.push_back(is_massive ? x : sign);
    }
    path.observe(view_of(values, 8, sequence), threads);
  }
  const auto& groups = path.points().at({SiteKind::ln1_out, 2});
  const auto group = [&](Group g) { return groups[static_cast<std::size_t>(g)]; };
  const PathPoint massive_point = group(Group::massive);
  EXPECT_EQ(massive_point.tokens, 4);
  EXPECT_DOUBLE_EQ(massive_point.norm, 4 * 5.0);
  EXPECT_NEAR(massive_point.top[0] / 4, 16.0 / 25, 1e-12);
  EXPECT_NEAR(massive_point.top[1] / 4, 1.0, 1e-12);
  EXPECT_NEAR(massive_point.variance(), 0.0, 1e-15);
  // Two of each class and sequence: 1 and 5 of `other`; 2 and 6 of `weak`, since 4 is massive.
  EXPECT_EQ(group(Group::rest).tokens, 8);
  EXPECT_EQ(group(Group::other).tokens, 4);
  EXPECT_EQ(group(Group::weak).tokens, 2 + 2 + 2);
  EXPECT_EQ(group(Group::start).tokens, 2);
  EXPECT_NEAR(group(Group::rest).variance(), 1.0, 1e-12);
}

TEST(Extremes, KeepTheFirstOfTheLargestMagnitudes) {
  Extremes extremes;
  Threads threads(2);
  std::vector<float> first = {1, -2, 0, 3, -7, 2}, second = {7, 1, 1, 6, 0, -7};
  extremes.observe(view_of(first, 2, 0), threads);
  extremes.observe(view_of(second, 2, 1), threads);
  const Extreme extreme = extremes.by_site().at({SiteKind::ln1_out, 2});
  EXPECT_EQ(extreme.value, -7.0f);
  EXPECT_EQ(extreme.sequence, 0);
  EXPECT_EQ(extreme.position, 1);
  EXPECT_EQ(extreme.column, 1);
}

// What a norm read is what it made of it times its divisor: 5 * 0.5 < 3 * 2.
TEST(Extremes, AreThoseBeforeTheNormBehindTheMlp) {
  Extremes extremes;
  Threads threads(2);
  std::vector<float> first_scale = {0.5f, 2.0f}, first = {5, 1, 2, -3};
  std::vector<float> second_scale = {1.0f, 0.1f}, second = {4, 4, 9, 9};
  const auto show = [&](SiteKind kind, std::vector<float>& values, std::int64_t sequence) {
    SiteView view = view_of(values, 2, sequence);
    view.site.kind = kind;
    extremes.observe(view, threads);
  };
  show(SiteKind::ln2_post_scale, first_scale, 0);
  show(SiteKind::ln2_post_scale, second_scale, 1);
  show(SiteKind::ln2_post_normalized, first, 0);
  show(SiteKind::ln2_post_normalized, second, 1);
  const Extreme extreme = extremes.by_site().at({SiteKind::ln2_post_normalized, 2});
  EXPECT_EQ(extreme.value, -6.0f);
  EXPECT_EQ(extreme.sequence, 0);
  EXPECT_EQ(extreme.position, 1);
  EXPECT_EQ(extreme.column, 1);
}

TEST(Extremes, NothingInZeros) {
  Extremes extremes;
  Threads threads(1);
  std::vector<float> zeros(6);
  extremes.observe(view_of(zeros, 2, 0), threads);
  EXPECT_EQ(extremes.by_site().at({SiteKind::ln1_out, 2}).sequence, -1);
}

}  // namespace
}  // namespace massact::observe
