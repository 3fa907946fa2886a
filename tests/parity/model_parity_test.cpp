// Every site of every golden model against HF transformers (tools/golden/make_models.py).
#include <gtest/gtest.h>

#include "parity/collect.h"
#include "parity/compare.h"

namespace massact {
namespace {

using namespace testing_support;
namespace fs = std::filesystem;

std::vector<std::string> golden_names() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(golden_models())) {
    if (fs::exists(entry.path() / "sites.safetensors")) {
      names.push_back(entry.path().filename().string());
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

class ModelParity : public testing::TestWithParam<std::string> {
 protected:
  ModelParity()
      : model_(open_model(golden_models() / GetParam())),
        golden_(open_safetensors(golden_models() / GetParam() / "sites.safetensors")),
        texts_(golden_tokens(*golden_)) {}

  /// Calls check(site name, expected, got, vector length) for everything in the golden file.
  template <typename Check>
  void for_each_site(const SiteValues& got, const Check& check) const {
    ASSERT_FALSE(texts_.empty());
    std::size_t compared = 0;
    for (const auto& info : golden_->tensors()) {
      const auto slash = info.name.find('/');
      const std::string site = info.name.substr(slash + 1);
      if (site == "tokens") continue;
      const std::int64_t sequence = std::stoll(info.name.substr(3, slash - 3));
      const auto found = got.find({sequence, site});
      ASSERT_NE(found, got.end()) << info.name;
      const auto expected = to_float_tensor(golden_->view(info.name));
      const std::vector<float> values(expected.floats().begin(), expected.floats().end());
      // A token's vector: all of a row, heads included; attention maps by query.
      const std::int64_t rows = is_attention_map(parse_site(site, model_.config()).kind)
                                    ? info.shape[0] * info.shape[1]
                                    : info.shape[0];
      check(info.name, values, found->second, static_cast<std::int64_t>(values.size()) / rows);
      ++compared;
    }
    EXPECT_GT(compared, 10u);
  }

  Model model_;
  std::shared_ptr<const WeightSource> golden_;
  std::vector<Plan::Tokens> texts_;
};

TEST_P(ModelParity, EverySiteInF32) {
  const auto got =
      collect(model_, texts_, all_sites(model_.config()), {.precision = ops::Precision::f32});
  for_each_site(got, [](const std::string& name, const auto& expected, const auto& values,
                        std::int64_t width) {
    EXPECT_EQ(compare_vectors(values, expected, width), "") << name;
  });
}

// The fast attention path, which hides scores and pattern, gives the same values elsewhere.
TEST_P(ModelParity, FastAttentionInF32) {
  auto sites = all_sites(model_.config());
  std::erase_if(sites, [](Site site) { return is_attention_map(site.kind); });
  const auto fast = collect(model_, texts_, sites, {.precision = ops::Precision::f32});
  for (const auto& info : golden_->tensors()) {
    const auto slash = info.name.find('/');
    const std::string site = info.name.substr(slash + 1);
    if (site == "tokens" || is_attention_map(parse_site(site, model_.config()).kind)) continue;
    const auto expected = to_float_tensor(golden_->view(info.name));
    const std::vector<float> values(expected.floats().begin(), expected.floats().end());
    const auto& got = fast.at({std::stoll(info.name.substr(3, slash - 3)), site});
    EXPECT_EQ(
        compare_vectors(got, values, static_cast<std::int64_t>(values.size()) / info.shape[0]), "")
        << info.name;
  }
}

// docs/sites.md: bf16 rounds weights and the products' inputs to 8 bits of mantissa; a site's
// values differ by at most 5 % of its norm.
TEST_P(ModelParity, EverySiteInBf16) {
  const auto got =
      collect(model_, texts_, all_sites(model_.config()), {.precision = ops::Precision::bf16});
  for_each_site(
      got, [](const std::string& name, const auto& expected, const auto& values, std::int64_t) {
        ASSERT_EQ(values.size(), expected.size()) << name;
        EXPECT_LE(relative_error(values, expected), 0.05) << name;
      });
}

INSTANTIATE_TEST_SUITE_P(Golden, ModelParity, testing::ValuesIn(golden_names()),
                         [](const auto& param_info) {
                           std::string name = param_info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace massact
