// The models and every attention variant: gradients, causality, and what each variant means.
#include "train/model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <tuple>

#include "helpers.h"
#include "massact/base/error.h"

namespace massact::train {
namespace {

using Case = std::tuple<Architecture, Attention>;

at::Tensor tokens(std::initializer_list<std::int64_t> ids) {
  return at::tensor(std::vector<std::int64_t>(ids), at::kLong).unsqueeze(0);
}

/// A model in double precision whose weights are large enough that every part matters.
Model lively_model(const ModelConfig& config) {
  Model model(config, 7, at::kCPU, at::kDouble);
  const at::NoGradGuard no_grad;
  at::Tensor values = model.parameters().values();
  const at::Tensor index = at::arange(values.numel(), at::kDouble);
  values.add_(at::sin(index * 1.7) * 0.3);  // any fixed values do
  return model;
}

class EveryVariant : public testing::TestWithParam<Case> {
 protected:
  ModelConfig config() const {
    return tiny_model(std::get<0>(GetParam()), std::get<1>(GetParam()));
  }
};

TEST_P(EveryVariant, GradientsMatchFiniteDifferences) {
  Model model = lively_model(config());
  const auto [inputs, targets] = tiny_batch(config(), at::kDouble);
  model.loss(inputs, targets).backward();
  const at::Tensor gradient = model.parameters().gradients().clone();
  const auto loss = [&, &inputs = inputs, &targets = targets] {
    const at::NoGradGuard no_grad;
    return model.loss(inputs, targets).item<double>();
  };
  for (std::size_t i = 0; i < model.parameters().specs().size(); ++i) {
    const auto& spec = model.parameters().specs()[i];
    double largest = 0;
    for (const std::int64_t at : {std::int64_t{0}, spec.count() / 2, spec.count() - 1}) {
      at::Tensor value = model.parameters().values()[model.parameters().offset(i) + at];
      const double step = 1e-5, before = value.item<double>();
      value.fill_(before + step);
      const double above = loss();
      value.fill_(before - step);
      const double below = loss();
      value.fill_(before);
      const double expected = (above - below) / (2 * step);
      const double got = gradient[model.parameters().offset(i) + at].item<double>();
      EXPECT_NEAR(got, expected, 1e-7 + 1e-5 * std::abs(expected)) << spec.name << " " << at;
      largest = std::max(largest, std::abs(got));
    }
    // Every parameter is used: some element of its gradient is not zero.
    const auto whole = gradient.narrow(0, model.parameters().offset(i), spec.count());
    EXPECT_GT(whole.abs().max().item<double>(), 0) << spec.name;
  }
}

class EveryTextVariant : public EveryVariant {};

TEST_P(EveryTextVariant, NoTokenSeesALaterOne) {
  const Model model = lively_model(config());
  const at::NoGradGuard no_grad;
  const at::Tensor a = model.logits(tokens({1, 4, 9, 2, 22}));
  const at::Tensor b = model.logits(tokens({1, 4, 9, 7, 3}));
  EXPECT_TRUE(at::equal(a.narrow(1, 0, 3), b.narrow(1, 0, 3)));
  EXPECT_FALSE(at::allclose(a.narrow(1, 3, 2), b.narrow(1, 3, 2)));
}

std::string case_name(const testing::TestParamInfo<Case>& info) {
  std::string name = to_string(std::get<0>(info.param)) + "_" + to_string(std::get<1>(info.param));
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

std::vector<Case> cases(std::initializer_list<Architecture> architectures) {
  std::vector<Case> all;
  for (const auto architecture : architectures) {
    for (const auto attention : attention_variants(architecture)) {
      all.emplace_back(architecture, attention);
    }
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Models, EveryVariant,
                         testing::ValuesIn(cases({Architecture::gpt2, Architecture::llama,
                                                  Architecture::vit})),
                         case_name);
INSTANTIATE_TEST_SUITE_P(Models, EveryTextVariant,
                         testing::ValuesIn(cases({Architecture::gpt2, Architecture::llama})),
                         case_name);

/// The pattern of layer 1 for a fixed input.
at::Tensor first_pattern(const Model& model) {
  const at::NoGradGuard no_grad;
  Trace trace;
  model.logits(tokens({1, 4, 9, 2, 22}), &trace);
  return trace.pattern[0];
}

void set(Model& model, const std::string& suffix, double value) {
  int found = 0;
  for (const auto& spec : model.parameters().specs()) {
    if (!spec.name.ends_with(suffix)) continue;
    at::Tensor target = model.parameters().at(spec.name).detach();
    target.fill_(value);
    ++found;
  }
  ASSERT_GT(found, 0) << suffix;
}

/// Logits of `attention` after `prepare` changed a lively model whose shared weights are the same
/// for every variant.
template <typename Prepare>
at::Tensor logits_of(Attention attention, Prepare prepare) {
  const auto config = tiny_model(Architecture::llama, attention);
  Model model(config, 7, at::kCPU, at::kDouble);
  prepare(model);
  const at::NoGradGuard no_grad;
  return model.logits(tokens({1, 4, 9, 2, 22}));
}

const auto as_initialised = [](Model&) {};

TEST(Variants, SoftmaxOffByOneIsASlotOfZeros) {
  const auto zero_slot = [](Model& model) {
    set(model, "eab_k", 0);
    set(model, "eab_v", 0);
  };
  const auto expected = logits_of(Attention::softmax_off_by_one, as_initialised);
  EXPECT_TRUE(at::allclose(logits_of(Attention::eab, zero_slot), expected, 1e-12, 1e-12));
  EXPECT_TRUE(
      at::allclose(logits_of(Attention::k_bias, [](Model& model) { set(model, "eab_k", 0); }),
                   expected, 1e-12, 1e-12));
  EXPECT_TRUE(
      at::allclose(logits_of(Attention::learned_sink, [](Model& model) { set(model, "sinks", 0); }),
                   expected, 1e-12, 1e-12));
  EXPECT_FALSE(at::allclose(logits_of(Attention::standard, as_initialised), expected, 1e-9, 1e-9));
}

TEST(Variants, ASinkOfMinusInfinityIsTheDefault) {
  const auto no_sink = [](Model& model) { set(model, "sinks", -1e30); };
  EXPECT_TRUE(at::allclose(logits_of(Attention::learned_sink, no_sink),
                           logits_of(Attention::standard, as_initialised), 1e-12, 1e-12));
}

TEST(Variants, ZeroBiasesAreTheDefault) {
  const auto expected = logits_of(Attention::standard, as_initialised);
  const auto no_value = [](Model& model) { set(model, "eab_v", 0); };
  EXPECT_TRUE(at::allclose(logits_of(Attention::v_bias, no_value), expected, 1e-12, 1e-12));
  EXPECT_TRUE(at::allclose(logits_of(Attention::qkv_bias, as_initialised), expected, 1e-12, 1e-12));
  const auto halves = [](Model& model) {
    set(model, "gate.weight", 0);  // sigmoid(0) = 1/2
    for (const auto& spec : model.parameters().specs()) {
      if (!spec.name.ends_with("o_proj.weight")) continue;
      at::Tensor target = model.parameters().at(spec.name).detach();
      target.mul_(2);
    }
  };
  EXPECT_TRUE(at::allclose(logits_of(Attention::gated, halves), expected, 1e-12, 1e-12));
}

TEST(Variants, PatternsHaveTheirSlotFirstAndSumAsTheyShould) {
  for (const auto attention : attention_variants(Architecture::llama)) {
    const Model model = lively_model(tiny_model(Architecture::llama, attention));
    const at::Tensor p = first_pattern(model);
    const bool slot = attention == Attention::eab || attention == Attention::k_bias ||
                      attention == Attention::softmax_off_by_one ||
                      attention == Attention::learned_sink;
    const std::int64_t T = attention == Attention::sink_token ? 6 : 5;
    ASSERT_EQ(p.sizes(), at::IntArrayRef({1, 4, T, T + slot})) << to_string(attention);
    if (slot) {
      EXPECT_GT(p.select(3, 0).min().item<double>(), 0) << to_string(attention);
    }
    const double error = (p.sum(-1) - 1).abs().max().item<double>();
    const bool normalised =
        attention != Attention::sigmoid && attention != Attention::clipped_softmax;
    if (normalised) {
      EXPECT_LT(error, 1e-12) << to_string(attention);
    } else {
      EXPECT_GT(error, 1e-3) << to_string(attention);
    }
  }
}

TEST(Variants, SharedWeightsStartTheSame) {
  const Model plain(tiny_model(Architecture::llama, Attention::standard), 5);
  const Model eab(tiny_model(Architecture::llama, Attention::eab), 5);
  for (const auto& spec : plain.parameters().specs()) {
    EXPECT_TRUE(at::equal(plain.parameters().at(spec.name), eab.parameters().at(spec.name)))
        << spec.name;
  }
  EXPECT_EQ(eab.parameters().specs().size(), plain.parameters().specs().size() + 4);
}

TEST(Config, RefusesSizesThatDoNotFit) {
  auto c = tiny_model(Architecture::llama, Attention::standard);
  c.kv_heads = 3;
  EXPECT_THROW(Model(c, 1), UsageError);
  c = tiny_model(Architecture::llama, Attention::standard);
  c.width = 18;
  EXPECT_THROW(Model(c, 1), UsageError);
  c = tiny_model(Architecture::gpt2, Attention::standard);
  c.tied = false;
  EXPECT_THROW(Model(c, 1), UsageError);
  EXPECT_THROW(parse_attention("eabb", "--attention"), UsageError);
  const Model model(tiny_model(Architecture::gpt2, Attention::standard), 1);
  EXPECT_THROW(model.logits(tokens({1, 2, 3, 4, 5, 6, 7})), Error);  // longer than the context
}

}  // namespace
}  // namespace massact::train
