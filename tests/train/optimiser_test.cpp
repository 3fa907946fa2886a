// AdamW, clipping and the schedule against their definitions.
#include "train/optimiser.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace massact::train {
namespace {

TEST(Schedule, WarmsUpThenFollowsACosine) {
  TrainConfig c;
  c.steps = 110;
  c.warmup = 10;
  c.lr = 1.0;
  c.min_lr = 0.1;
  EXPECT_DOUBLE_EQ(learning_rate(c, 0), 0.1);
  EXPECT_DOUBLE_EQ(learning_rate(c, 9), 1.0);
  EXPECT_NEAR(learning_rate(c, 59), 0.55, 1e-12);  // half-way
  EXPECT_NEAR(learning_rate(c, 109), 0.1, 1e-12);  // the last step
  EXPECT_GT(learning_rate(c, 20), learning_rate(c, 21));
}

/// Two decayed parameters of 4 elements in all, one undecayed of 2.
Parameters some_parameters() {
  return Parameters({{"norm", {2}, 0.0, 1.0}, {"a", {2, 1}, 0.5}, {"b", {1, 2}, 0.5}}, 3,
                    at::kFloat, at::kCPU);
}

TEST(AdamW, FollowsItsDefinitionForSomeSteps) {
  TrainConfig c;
  c.weight_decay = 0.1;
  c.beta1 = 0.8;
  c.beta2 = 0.9;
  c.adam_eps = 1e-3;
  Parameters parameters = some_parameters();
  ASSERT_EQ(parameters.decayed_count(), 4);
  AdamW optimiser(c, parameters);
  std::vector<double> x, m(6, 0.0), v(6, 0.0);
  for (int i = 0; i < 6; ++i) x.push_back(parameters.values()[i].item<double>());
  for (std::int64_t step = 0; step < 4; ++step) {
    const double lr = 0.1 / double(step + 1);
    for (int i = 0; i < 6; ++i) {
      const double g = std::sin(3.0 * i + double(step));
      parameters.gradients()[i].fill_(g);
      m[i] = c.beta1 * m[i] + (1 - c.beta1) * g;
      v[i] = c.beta2 * v[i] + (1 - c.beta2) * g * g;
      const double mean = m[i] / (1 - std::pow(c.beta1, double(step + 1)));
      const double square = v[i] / (1 - std::pow(c.beta2, double(step + 1)));
      if (i < 4) x[i] -= lr * c.weight_decay * x[i];
      x[i] -= lr * mean / (std::sqrt(square) + c.adam_eps);
    }
    optimiser.update(lr, step);
    for (int i = 0; i < 6; ++i) EXPECT_NEAR(parameters.values()[i].item<double>(), x[i], 1e-6);
  }
  // The named tensors are views of what was updated.
  EXPECT_EQ(parameters.at("norm")[1].item<float>(), parameters.values()[5].item<float>());
}

TEST(Clipping, ScalesToTheLimitAndReportsTheNormBefore) {
  Parameters parameters = some_parameters();
  parameters.gradients().fill_(2.0);
  const double norm = std::sqrt(6 * 4.0);
  EXPECT_NEAR(clip_gradients(parameters, 10.0), norm, 1e-6);
  EXPECT_EQ(parameters.gradients()[0].item<float>(), 2.0f);
  EXPECT_NEAR(clip_gradients(parameters, 1.0), norm, 1e-6);
  EXPECT_NEAR(parameters.gradients().norm().item<double>(), 1.0, 1e-6);
  parameters.gradients()[2].fill_(std::nan(""));
  EXPECT_FALSE(std::isfinite(clip_gradients(parameters, 1.0)));
}

}  // namespace
}  // namespace massact::train
