// What shows without a run: contradictions, edits of nothing, missing means.
#include "massact/edit/plan_checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "massact/base/error.h"

namespace massact::edit {
namespace {

using ::testing::HasSubstr;

ModelConfig config_of(std::int64_t width) {
  ModelConfig config;
  config.layers = 2;
  config.width = width;
  return config;
}

std::shared_ptr<const Selector> at(std::vector<std::int64_t> positions,
                                   std::vector<std::int64_t> dimensions) {
  const auto kind = positions.empty() ? Positions::Kind::all : Positions::Kind::index;
  return by_position({kind, "", std::move(positions)}, std::move(dimensions), nullptr, 0);
}

std::shared_ptr<const Selector> listed(std::int64_t sequence, std::vector<Scalar> scalars) {
  return by_list(
      "found", std::make_shared<const ScalarLists>(ScalarLists{{sequence, std::move(scalars)}}), 0);
}

const Site kPost{SiteKind::resid_post, 0};
const std::vector<Plan::Tokens> kTexts = {{1, 2, 3}, {1, 2, 3, 4, 5}};

std::string contradiction(const std::vector<Chosen>& chosen, std::int64_t width = 8) {
  try {
    require_no_contradiction(chosen, kTexts, config_of(width));
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

TEST(Contradictions, AreEditsOfOneScalar) {
  const auto two = [](auto a, auto b) {
    return std::vector<Chosen>{{kPost, "first", a}, {kPost, "second", b}};
  };
  EXPECT_THAT(contradiction(two(at({}, {}), at({4}, {7}))),
              HasSubstr("contradicts first: both change dimension 7 at position 4 of sequence 1"));
  EXPECT_EQ(contradiction(two(at({}, {0, 2}), at({}, {1, 3}))), "");
  EXPECT_EQ(contradiction(two(at({0, 2}, {}), at({1, 3}, {}))), "");
  EXPECT_EQ(contradiction(two(at({4}, {1}), listed(0, {{2, 1}}))), "");
  EXPECT_THAT(contradiction(two(at({4}, {1}), listed(1, {{2, 1}, {4, 1}}))),
              HasSubstr("dimension 1 at position 4 of sequence 1"));
  EXPECT_EQ(contradiction({{kPost, "first", at({}, {})},
                           {{SiteKind::resid_post, 1}, "second", at({}, {})},
                           {{SiteKind::resid_mid, 0}, "third", at({}, {})}}),
            "");
}

TEST(Contradictions, AreFoundBeyondTheFirstRowsAndAtEverySite) {
  // Wide rows are looked at one by one.
  EXPECT_THAT(contradiction(
                  {{kPost, "first", at({4}, {299999})}, {kPost, "second", at({3, 4}, {})}}, 300000),
              HasSubstr("dimension 299999 at position 4"));
  const auto all = at({}, {1}), found = listed(0, {{0, 1}});
  EXPECT_THAT(contradiction({{kPost, "first", all},
                             {kPost, "second", at({}, {2})},
                             {{SiteKind::resid_post, 1}, "first", all},
                             {{SiteKind::resid_post, 1}, "third", found}}),
              HasSubstr("blocks.1.hook_resid_post"));
}

// 8 million scalars, of which a list would take 400 MB.
TEST(Contradictions, TakeNoMemory) {
  const std::vector<Plan::Tokens> texts = {Plan::Tokens(1024, 1)};
  std::vector<std::int64_t> even, odd;
  for (std::int64_t d = 0; d < 8192; d += 2) {
    even.push_back(d);
    odd.push_back(d + 1);
  }
  rusage before{}, after{};
  getrusage(RUSAGE_SELF, &before);
  require_no_contradiction({{kPost, "first", at({}, even)}, {kPost, "second", at({}, odd)}}, texts,
                           config_of(8192));
  getrusage(RUSAGE_SELF, &after);
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 16 << 10);  // KiB
}

TEST(Matches, AnEditOfNothingIsRefused) {
  require_matches({{kPost, "first", at({4}, {1})}}, kTexts, config_of(8));
  EXPECT_THROW(require_matches({{kPost, "first", at({5}, {1})}}, kTexts, config_of(8)), UsageError);
  EXPECT_THROW(require_matches({{kPost, "first", listed(1, {{9, 1}})}}, kTexts, config_of(8)),
               UsageError);
}

class OneClass final : public PositionLabels {
 public:
  std::string_view position_class(std::int64_t, std::int64_t) const override { return "other"; }
  std::int32_t token_id(std::int64_t, std::int64_t) const override { return 1; }
  std::string token_text(std::int64_t, std::int64_t) const override { return "x"; }
  std::string text_before(std::int64_t, std::int64_t) const override { return ""; }
  std::string text_after(std::int64_t, std::int64_t) const override { return ""; }
};

TEST(Means, OfEveryChosenScalarAreThere) {
  const auto means = std::make_shared<Means>();
  means->add("other", 3, 1.5);
  const Change change = mean(means, std::make_shared<OneClass>());
  require_means({kPost, "first", at({}, {3})}, change, kTexts, config_of(8));
  EXPECT_THROW(require_means({kPost, "first", at({1}, {3, 4})}, change, kTexts, config_of(8)),
               Error);
}

}  // namespace
}  // namespace massact::edit
