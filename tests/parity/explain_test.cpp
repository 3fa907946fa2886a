// `massact explain` against what HF transformers' eager attention computes, and on the planted
// model, whose chain is known.
#include "massact/study/explain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "massact/base/error.h"
#include "massact/observe/attention_mass.h"
#include "parity/collect.h"
#include "paths.h"

namespace massact {
namespace {

using observe::AttentionMass;
using observe::Group;
using observe::HeadMass;
using testing_support::golden_folder;
using testing_support::golden_tokens;

// Position 0 is `start`, all others `other`.
class PlainLabels final : public PositionLabels {
 public:
  std::string_view position_class(std::int64_t, std::int64_t position) const override {
    return position == 0 ? "start" : "other";
  }
  std::int32_t token_id(std::int64_t, std::int64_t) const override { return -1; }
  std::string token_text(std::int64_t, std::int64_t) const override { return ""; }
  std::string text_before(std::int64_t, std::int64_t) const override { return ""; }
  std::string text_after(std::int64_t, std::int64_t) const override { return ""; }
};

constexpr double kEpsilon = 0.2;
constexpr std::int64_t kLength = 5;  // of the sink metric

// C in every block: nothing in sequence 0, everything in the last one, some tokens in the others.
observe::TokenLists chosen_tokens(const std::vector<Plan::Tokens>& texts, int blocks) {
  observe::TokenLists lists;
  for (std::size_t s = 1; s < texts.size(); ++s) {
    const bool last = s + 1 == texts.size() && s > 1;
    for (std::int64_t i = 0; i < std::ssize(texts[s]); i += last ? 1 : 3) {
      for (int block = 0; block < blocks; ++block) {
        lists[block][static_cast<std::int64_t>(s)].push_back(i);
      }
    }
  }
  return lists;
}

// One head of one golden sequence, in double.
struct GoldenHead {
  std::int64_t T = 0, S = 0, c = 0;
  std::vector<float> pattern, scores;  // [T, S]
  std::vector<double> value;           // [T, c]
  std::vector<float> z;                // [T, c]
  std::vector<std::uint8_t> chosen;    // [T]
  std::int64_t slots() const { return S - T; }
  double p(std::int64_t i, std::int64_t j) const {
    return pattern[static_cast<std::size_t>(i * S + slots() + j)];
  }
};

class ExplainGolden : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    folder_ = golden_folder() / GetParam();
    golden_ = open_safetensors(folder_ / "sites.safetensors");
    texts_ = golden_tokens(*golden_);
  }

  std::vector<float> values(const std::string& name) const {
    const TensorView view = golden_->view(name);
    std::vector<float> out(static_cast<std::size_t>(view.shape.element_count()));
    read_floats(view, 0, std::ssize(out), out.data());
    return out;
  }

  GoldenHead head_of(const ModelConfig& config, std::size_t sequence, int block, std::int64_t h,
                     const observe::TokenLists& lists) const {
    const std::string prefix =
        "seq" + std::to_string(sequence) + "/blocks." + std::to_string(block) + ".attn.";
    GoldenHead head;
    head.T = std::ssize(texts_[sequence]);
    head.c = config.head_size;
    head.S = head.T + (config.has_slot() ? 1 : 0);
    const auto part = [&](const std::vector<float>& all) {
      const auto begin = all.begin() + h * head.T * head.S;
      return std::vector<float>(begin, begin + head.T * head.S);
    };
    head.pattern = part(values(prefix + "hook_pattern"));
    head.scores = part(values(prefix + "hook_attn_scores"));
    const auto v = values(prefix + "hook_v"), z = values(prefix + "hook_z");
    const std::int64_t kv = h / (config.heads / config.kv_heads);
    for (std::int64_t i = 0; i < head.T; ++i) {
      for (std::int64_t d = 0; d < head.c; ++d) {
        head.value.push_back(v[static_cast<std::size_t>((i * config.kv_heads + kv) * head.c + d)]);
        head.z.push_back(z[static_cast<std::size_t>((i * config.heads + h) * head.c + d)]);
      }
    }
    head.chosen.resize(static_cast<std::size_t>(head.T));
    const auto layer = lists.find(block);
    if (layer == lists.end()) return head;
    const auto list = layer->second.find(static_cast<std::int64_t>(sequence));
    if (list == layer->second.end()) return head;
    for (const std::int64_t i : list->second) head.chosen[static_cast<std::size_t>(i)] = 1;
    return head;
  }

  std::filesystem::path folder_;
  std::shared_ptr<const WeightSource> golden_;
  std::vector<Plan::Tokens> texts_;
};

struct Expected {
  double queries = 0, entropy = 0, start = 0, first4 = 0, slot = 0, massive = 0, score = 0;
  double alpha0 = 0, sinks = 0;
  double share = 0, bias_queries = 0, cosine = 0;
};

double norm(const std::vector<double>& x) {
  double sum = 0;
  for (const double value : x) sum += value * value;
  return std::sqrt(sum);
}

// Equation 2 of one sequence, term by term. `slot_value`: [c] or empty.
void add_bias(const GoldenHead& head, const std::vector<double>& slot_value, Expected& sum) {
  std::vector<std::vector<double>> terms;
  std::vector<double> mean(static_cast<std::size_t>(head.c));
  for (std::int64_t i = 0; i < head.T; ++i) {
    std::vector<double> first(mean.size()), rest(mean.size()), slot(mean.size());
    bool sees = false;
    for (std::int64_t j = 0; j < head.T; ++j) {
      const bool is_chosen = head.chosen[static_cast<std::size_t>(j)] != 0;
      const auto at = static_cast<std::size_t>(i * head.S + head.slots() + j);
      sees |= is_chosen && std::isfinite(head.scores[at]);
      for (std::size_t d = 0; d < mean.size(); ++d) {
        const double part = head.p(i, j) * head.value[static_cast<std::size_t>(j * head.c) + d];
        (is_chosen ? first : rest)[d] += part;
      }
    }
    for (std::size_t d = 0; d < mean.size() && !slot_value.empty(); ++d) {
      slot[d] =
          static_cast<double>(head.pattern[static_cast<std::size_t>(i * head.S)]) * slot_value[d];
    }
    for (std::size_t d = 0; d < mean.size(); ++d) {
      const double z = head.z[static_cast<std::size_t>(i * head.c) + d];
      EXPECT_NEAR(first[d] + rest[d] + slot[d], z, 1e-4) << "HF's own values do not close";
    }
    if (head.chosen[static_cast<std::size_t>(i)] != 0 || !sees) continue;
    const double all = norm(first) + norm(rest) + norm(slot);
    sum.share += all > 0 ? norm(first) / all : 0;
    sum.bias_queries += 1;
    for (std::size_t d = 0; d < mean.size(); ++d) mean[d] += first[d];
    terms.push_back(std::move(first));
  }
  for (const auto& term : terms) {
    double dot = 0;
    for (std::size_t d = 0; d < mean.size(); ++d) dot += term[d] * mean[d];
    sum.cosine += dot / (norm(term) * norm(mean));
  }
}

void add_attention(const GoldenHead& head, Expected& sum) {
  sum.queries += static_cast<double>(head.T);
  for (std::int64_t i = 0; i < head.T; ++i) {
    for (std::int64_t column = 0; column < head.S; ++column) {
      const auto at = static_cast<std::size_t>(i * head.S + column);
      const double p = head.pattern[at];
      if (p > 0) sum.entropy -= p * std::log(p);
      const std::int64_t j = column - head.slots();
      if (j < 0) sum.slot += p;
      if (j == 0) sum.start += p;
      if (j == 0 && std::isfinite(head.scores[at])) sum.score += head.scores[at];
      if (j >= 0 && j < 4) sum.first4 += p;
      if (j >= 0 && head.chosen[static_cast<std::size_t>(j)] != 0) sum.massive += p;
    }
  }
  const std::int64_t length = std::min(kLength, head.T);
  double alpha = 0;
  for (std::int64_t i = 0; i < length; ++i) alpha += head.p(i, 0) / static_cast<double>(length);
  sum.alpha0 += alpha;
  sum.sinks += alpha > kEpsilon ? 1 : 0;
}

TEST_P(ExplainGolden, SumsAreThoseOfTheDenseMaps) {
  const Model model = open_model(folder_);
  const ModelConfig& config = model.config();
  std::vector<int> blocks;
  for (int block = 0; block < config.layers; ++block) blocks.push_back(block);
  const auto lists = chosen_tokens(texts_, static_cast<int>(config.layers));
  Plan plan(model, texts_);
  const AttentionMass& mass = plan.watch_attention(
      blocks, AttentionMass({.massive = std::make_shared<const observe::MassiveTokens>(lists),
                             .labels = std::make_shared<const PlainLabels>(),
                             .epsilon = kEpsilon,
                             .length = kLength,
                             .calibration_end = 0}));
  NoProgress progress;
  run(plan, {.precision = ops::Precision::f32}, progress);
  for (const int block : blocks) {
    const auto slot = model.weights().vector("blocks." + std::to_string(block) + ".attn.eab_v");
    for (std::int64_t h = 0; h < config.heads; ++h) {
      const std::int64_t kv = h / (config.heads / config.kv_heads);
      std::vector<double> slot_value;
      if (!slot.empty()) {
        slot_value.assign(slot.begin() + kv * config.head_size,
                          slot.begin() + (kv + 1) * config.head_size);
      }
      Expected expected;
      for (std::size_t s = 0; s < texts_.size(); ++s) {
        const GoldenHead head = head_of(config, s, block, h, lists);
        add_attention(head, expected);
        add_bias(head, slot_value, expected);
      }
      const HeadMass& actual = mass.blocks().at(block).at(static_cast<std::size_t>(h));
      const auto group = [&](Group g) { return actual.groups[static_cast<std::size_t>(g)]; };
      SCOPED_TRACE("block " + std::to_string(block) + " head " + std::to_string(h));
      EXPECT_EQ(actual.queries, expected.queries);
      EXPECT_NEAR(actual.entropy, expected.entropy, 1e-3);
      EXPECT_NEAR(group(Group::start).probability, expected.start, 1e-3);
      EXPECT_NEAR(group(Group::start).score, expected.score,
                  2e-4 * std::abs(expected.score) + 2e-3);
      EXPECT_NEAR(group(Group::massive).probability, expected.massive, 1e-3);
      EXPECT_NEAR(group(Group::slot).probability, expected.slot, 1e-3);
      EXPECT_NEAR(actual.first[1], expected.first4, 1e-3);
      EXPECT_NEAR(actual.alpha[0], expected.alpha0, 1e-4);
      EXPECT_EQ(actual.sink_count[0], expected.sinks);
      EXPECT_EQ(actual.bias_queries, expected.bias_queries);
      EXPECT_NEAR(actual.share, expected.share, 1e-3);
      EXPECT_NEAR(actual.cosine, expected.cosine, 1e-3);
      EXPECT_LE(actual.closure, 1e-5);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, ExplainGolden,
                         testing::Values("models/gpt2", "models/llama-mha", "models/llama-gqa-tied",
                                         "models/mistral-window", "variants/llama-eab",
                                         "variants/gpt2-eab", "variants/llama-learned-sink",
                                         "variants/llama-softmax-off-by-one"),
                         [](const auto& model) {
                           std::string name = model.param;
                           std::replace_if(
                               name.begin(), name.end(), [](char c) { return !std::isalnum(c); },
                               '_');
                           return name;
                         });

// ---- the planted model ----

class ExplainPlanted : public testing::Test {
 protected:
  static ExplainResult explain(const ExplainOptions& options = {}, std::int64_t seq_len = 64) {
    const Model model = open_model(golden_folder() / "models/planted");
    const std::vector<std::filesystem::path> files = {golden_folder() / "texts/harbour.txt"};
    const Corpus corpus = Corpus::from_files(files, model.tokenizer(), {.seq_len = seq_len});
    NoProgress progress;
    return run_explain(model, corpus, options, progress);
  }
  static const ExplainFinding& finding(const ExplainResult& result, std::string_view position_class,
                                       std::int64_t dimension) {
    for (const ExplainFinding& f : result.findings) {
      if (f.finding.position_class == position_class && f.finding.dimension == dimension) return f;
    }
    throw std::runtime_error("no such finding");
  }
};

// Block 1's neuron 13 fires on the start token, 29 on full stops; block 4 erases both.
TEST_F(ExplainPlanted, ChainIsThePlantedOne) {
  const ExplainResult result = explain();
  ASSERT_EQ(result.label, Label::massive);
  EXPECT_EQ(result.extra_passes, 0);
  struct Planted {
    const char* position_class;
    std::int64_t dimension;
    double value;
    std::int64_t neuron;
  };
  for (const Planted& planted :
       {Planted{"start", 5, -600, 13}, Planted{"start", 19, 900, 13},
        Planted{"first_delimiter", 5, -460, 29}, Planted{"first_delimiter", 19, 370, 29}}) {
    const ExplainFinding& f = finding(result, planted.position_class, planted.dimension);
    SCOPED_TRACE(planted.position_class);
    EXPECT_LE(f.closure, 1e-5);
    ASSERT_TRUE(f.birth && f.death);
    EXPECT_EQ(f.birth->layer, 2);
    EXPECT_NEAR(f.birth->mlp, planted.value, 1.0);
    EXPECT_NEAR(f.birth->attention, 0.0, 1.0);
    ASSERT_TRUE(f.birth->mlp_split && f.birth->heads_split);
    const ExplainNeuron& writer = f.birth->mlp_split->top.front();
    EXPECT_EQ(writer.neuron, planted.neuron);
    EXPECT_NEAR(writer.share, 1.0, 0.01);
    EXPECT_NEAR(writer.value * writer.weight, writer.contribution,
                1e-3 * std::abs(writer.contribution));
    EXPECT_LE(f.birth->mlp_split->closure, 1e-5);
    EXPECT_LE(f.birth->heads_split->closure, 1e-5);
    EXPECT_LE(f.birth->heads_split->source_closure, 1e-5);
    EXPECT_EQ(f.death->layer, 5);
    EXPECT_NEAR(f.death->mlp, -planted.value, 1.0);
    EXPECT_LE(f.death->mlp_split->closure, 1e-5);
  }
}

TEST_F(ExplainPlanted, ReportsTheWeightsThatWriteThem) {
  const ExplainResult result = explain();
  std::vector<int> spikes;
  for (const SuperWeight& weight : result.super_weights) {
    if (weight.spike) spikes.push_back(weight.layer);
    if (weight.layer != 2) continue;
    EXPECT_EQ(weight.row, 19);
    EXPECT_EQ(weight.column, 13);
    EXPECT_NEAR(weight.output, 900, 1);
    EXPECT_NEAR(weight.input * weight.value, 900, 1);
  }
  std::set<std::int64_t> neurons;
  for (const MassiveWeight& weight : result.massive_weights) {
    EXPECT_EQ(weight.layer, 2);
    EXPECT_EQ(weight.weights.size(), 2u);
    neurons.insert(weight.neuron);
  }
  EXPECT_EQ(neurons, (std::set<std::int64_t>{13, 29}));
}

TEST_F(ExplainPlanted, NormMakesMassiveTokensOneSparseVector) {
  const ExplainResult result = explain();
  for (const ExplainPath& path : result.trajectory) {
    if (path.layer != 3 || (path.group != "massive" && path.group != "rest")) continue;
    ASSERT_EQ(path.points.size(), 5u);
    const bool massive = path.group == "massive";
    EXPECT_EQ(path.points[0].norm > 500, massive);
    EXPECT_EQ(path.points[1].top[1] > 0.99, massive) << path.points[1].site;
    // Two kinds of massive tokens, start and full stop: two vectors, still nearer to one another.
    if (massive) {
      EXPECT_LT(*path.points[1].variance, 0.2);
    } else {
      EXPECT_GT(*path.points[1].variance, 0.3);
    }
  }
  for (const ExplainPath& path : result.trajectory) {
    if (path.layer != 3 || path.group != "start") continue;
    for (const ExplainPoint& point : path.points) EXPECT_LT(*point.variance, 1e-9) << point.site;
  }
}

TEST_F(ExplainPlanted, SinksAreThoseThatHfMeasured) {
  const ExplainResult result = explain();
  const auto expected = nlohmann::json::parse(
      std::ifstream(golden_folder() / "models/planted/expected.json"))["sink_share"];
  for (const SinkLayer& layer : result.sinks) {
    // There: queries from position 1 on. Here: all 64, and query 0 gives itself everything.
    const double share = expected[std::to_string(layer.layer)].get<double>();
    EXPECT_NEAR(layer.classes.front().probability, (63 * share + 1) / 64, 1e-4) << layer.layer;
    EXPECT_EQ(layer.classes.front().group, "start");
    EXPECT_EQ(layer.sink > 99, layer.layer >= 3 && layer.layer <= 5);
  }
  ASSERT_TRUE(result.before && result.after);
  EXPECT_EQ(result.appearance, 2);
  EXPECT_LT(result.before->sink, 10);
}

TEST_F(ExplainPlanted, ConstantExplainsTheMassiveTokens) {
  const ExplainResult result = explain({.replace = 4});
  for (const BiasLayer& layer : result.bias) {
    const bool reads = layer.layer >= 3 && layer.layer <= 5;
    EXPECT_EQ(layer.massive_tokens > 0, reads);
    EXPECT_EQ(layer.share.has_value(), reads);
    for (const BiasHead& head : layer.heads) EXPECT_LE(head.closure, 1e-5);
  }
  ASSERT_TRUE(result.replacement.has_value());
  const Replacement& r = *result.replacement;
  EXPECT_EQ(r.layers, (std::vector<int>{3, 4, 5}));
  EXPECT_EQ(r.evaluation_sequences, 4);
  ASSERT_EQ(r.variants.size(), 3u);
  EXPECT_FALSE(r.variants[0].divergence.has_value());
  EXPECT_LT(r.variants[1].divergence->mean_kl.value, 1e-3);
  EXPECT_GE(r.variants[1].divergence->top1_agreement.value, 0.99);
}

// Three streams of a whole sequence out of two would cost more than everything else.
TEST_F(ExplainPlanted, OfFewLongSequencesTheBeginningTestsTheConstant) {
  const ExplainResult short_test = explain({}, 256);
  ASSERT_TRUE(short_test.replacement.has_value());
  EXPECT_EQ(short_test.replacement->seq_len, 128);
  EXPECT_EQ(short_test.replacement->layers, (std::vector<int>{3, 4, 5}));
  EXPECT_LT(short_test.replacement->variants[1].divergence->mean_kl.value, 1e-3);
  const ExplainResult whole = explain({.replace = 1}, 256);
  ASSERT_TRUE(whole.replacement.has_value());
  EXPECT_EQ(whole.replacement->seq_len, 256);
}

TEST_F(ExplainPlanted, OneFindingAndItsMaps) {
  const ExplainResult result = explain({.finding = 1, .replace = 0, .maps = {{4, 2}}});
  EXPECT_EQ(result.findings.size(), 1u);
  EXPECT_FALSE(result.replacement.has_value());
  ASSERT_EQ(result.maps.size(), 2u);  // the mean over heads, and the head
  for (const AttentionMap& map : result.maps) {
    ASSERT_EQ(map.queries, 64);
    for (std::int64_t i = 0; i < map.queries; ++i) {
      double sum = 0;
      for (std::int64_t j = 0; j < map.columns; ++j) {
        const auto at = static_cast<std::size_t>(i * map.columns + j);
        sum += map.probabilities[at];
        EXPECT_EQ(std::isfinite(map.logits[at]), j <= i);
      }
      EXPECT_NEAR(sum, 1.0, 1e-5);
    }
  }
  EXPECT_THROW(explain({.finding = 99}), UsageError);
  EXPECT_THROW(explain({.maps = {{7, 0}}}), UsageError);
  EXPECT_THROW(explain({.maps = {{1, 4}}}), UsageError);
}

}  // namespace
}  // namespace massact
