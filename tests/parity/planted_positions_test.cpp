// Planted massive activations in models whose positions are not rotary (ALiBi, learned), against
// what HF measured (tools/golden/make_planted_positions.py).
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <tuple>

#include "massact/io/json.h"
#include "massact/study/scan.h"
#include "parity/collect.h"

namespace massact {
namespace {

using namespace testing_support;
namespace fs = std::filesystem;

using Place =
    std::tuple<std::int64_t, std::int64_t, std::int64_t>;  // sequence, position, dimension

class PlantedPositions : public testing::TestWithParam<const char*> {
 protected:
  fs::path folder() const { return golden_folder() / "models" / GetParam(); }
  Model model() const { return open_model(folder()); }
  nlohmann::json expected() const {
    return parse_json(read_text_file(folder() / "expected.json", 1 << 20), "expected.json");
  }
  Corpus corpus() const {
    return Corpus::from_tokens(folder() / "tokens.npy", model().config().vocab,
                               {.seq_len = 24, .bos = BosPolicy::never});
  }
};

TEST_P(PlantedPositions, AScanFindsWhatHfMeasured) {
  ScanOptions options;
  options.run.precision = ops::Precision::f32;
  options.largest = 64;
  NoProgress progress;
  const ScanResult result = run_scan(model(), corpus(), options, progress);
  std::map<int, std::map<Place, nlohmann::json>> wanted;
  const auto measured = expected();
  for (const auto& massive : measured["massive"]) {
    wanted[massive["layer"]][{massive["sequence"], massive["position"], massive["dimension"]}] =
        massive;
  }
  for (const LayerRow& row : result.layers) {
    const auto& here = wanted[row.layer];
    ASSERT_EQ(row.strict_count, std::ssize(here)) << row.layer;
    ASSERT_GE(row.largest.size(), here.size());
    for (std::size_t i = 0; i < here.size(); ++i) {
      const TopValue& top = row.largest[i];
      const auto found = here.find({top.sequence, top.position, top.dimension});
      ASSERT_NE(found, here.end()) << row.layer;
      const double value = found->second["value"], median = found->second["median"];
      EXPECT_NEAR(top.value, value, 1e-4 * std::abs(value));
      EXPECT_NEAR(top.ratio, std::abs(value) / median, 1e-3 * top.ratio);
    }
  }
  EXPECT_EQ(wanted[1].size(), 0u);
  EXPECT_GT(wanted[2].size(), 20u);
}

// Zeroes the scalars of a list.
class ZeroAt final : public Edit {
 public:
  explicit ZeroAt(std::vector<Place> places) : places_(std::move(places)) {}
  std::int64_t apply(const SiteView& view) override {
    std::int64_t count = 0;
    for (const auto& [sequence, position, dimension] : places_) {
      if (sequence != view.sequence) continue;
      view.values(position - view.first_position, dimension) = 0.0f;
      ++count;
    }
    return count;
  }
  std::string description() const override { return "zero what HF found"; }

 private:
  std::vector<Place> places_;
};

// Mean cross-entropy of the next tokens, from logits [T, vocab].
double loss_of(const std::vector<float>& logits, const Plan::Tokens& tokens, std::size_t vocab) {
  double sum = 0;
  for (std::size_t t = 0; t + 1 < tokens.size(); ++t) {
    const float* row = logits.data() + t * vocab;
    double total = 0;
    for (std::size_t i = 0; i < vocab; ++i) total += std::exp(static_cast<double>(row[i]));
    sum += std::log(total) - row[tokens[t + 1]];
  }
  return sum / static_cast<double>(tokens.size() - 1);
}

TEST_P(PlantedPositions, ZeroingThemChangesTheLossAsInHf) {
  const auto measured = expected();
  const Model network = model();
  const int layer = measured["edit_layer"];
  std::vector<Place> places;
  for (const auto& massive : measured["massive"]) {
    if (massive["layer"] != layer) continue;
    places.emplace_back(massive["sequence"], massive["position"], massive["dimension"]);
  }
  std::vector<Plan::Tokens> texts;
  const Corpus text = corpus();
  for (const auto& sequence : text.sequences()) texts.push_back(sequence.tokens);
  Plan plan(network, texts);
  std::vector<SiteEdit> edits;
  edits.push_back({{SiteKind::resid_post, layer - 1}, std::make_unique<ZeroAt>(places)});
  const int zero = plan.fork("zero", std::move(edits));
  const std::vector<Site> logits = {{SiteKind::logits, -1}};
  auto& original = plan.observe(logits, Collect{});
  auto& edited = plan.observe(logits, Collect{}, zero);
  NoProgress progress;
  run(plan, {.precision = ops::Precision::f32}, progress);
  const auto vocab = static_cast<std::size_t>(network.config().vocab);
  for (std::size_t s = 0; s < texts.size(); ++s) {
    const std::pair place{static_cast<std::int64_t>(s), std::string("hook_logits")};
    const auto& want = measured["losses"][s];
    EXPECT_NEAR(loss_of(original.values().at(place), texts[s], vocab),
                want["original"].get<double>(), 2e-5);
    EXPECT_NEAR(loss_of(edited.values().at(place), texts[s], vocab), want["zero"].get<double>(),
                2e-5);
    EXPECT_GT(std::abs(want["zero"].get<double>() - want["original"].get<double>()), 1e-3);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, PlantedPositions,
                         testing::Values("planted-alibi", "planted-learned"),
                         [](const auto& param_info) {
                           return std::string(param_info.param).substr(8);
                         });

}  // namespace
}  // namespace massact
