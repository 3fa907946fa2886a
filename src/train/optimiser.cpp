#include "train/optimiser.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace massact::train {

double learning_rate(const TrainConfig& config, std::int64_t step) {
  if (step < config.warmup) return config.lr * double(step + 1) / double(config.warmup);
  const double length = double(std::max<std::int64_t>(1, config.steps - config.warmup));
  const double progress = std::min(1.0, double(step - config.warmup + 1) / length);
  const double cosine = 0.5 * (1.0 + std::cos(std::numbers::pi * progress));
  return config.min_lr + (config.lr - config.min_lr) * cosine;
}

double clip_gradients(Parameters& parameters, double limit) {
  const at::NoGradGuard no_grad;
  at::Tensor gradients = parameters.gradients();
  const double norm = gradients.norm().item<double>();
  if (limit > 0 && norm > limit) gradients.mul_(limit / norm);
  return norm;
}

AdamW::AdamW(const TrainConfig& config, Parameters& parameters)
    : config_(config),
      parameters_(parameters),
      m_(at::zeros_like(parameters.values())),
      v_(at::zeros_like(parameters.values())),
      scratch_(at::empty_like(parameters.values())) {}

void AdamW::update(double lr, std::int64_t step) {
  const at::NoGradGuard no_grad;
  const at::Tensor& g = parameters_.gradients();
  at::Tensor values = parameters_.values();
  const double correction1 = 1.0 - std::pow(config_.beta1, double(step + 1));
  const double correction2 = 1.0 - std::pow(config_.beta2, double(step + 1));
  values.narrow(0, 0, parameters_.decayed_count()).mul_(1.0 - lr * config_.weight_decay);
  m_.lerp_(g, 1.0 - config_.beta1);
  v_.mul_(config_.beta2).addcmul_(g, g, 1.0 - config_.beta2);
  // m/c1 / (sqrt(v/c2) + eps), with the scalars moved out of the passes over the parameters.
  const double root = std::sqrt(correction2);
  at::sqrt_out(scratch_, v_).add_(config_.adam_eps * root);
  values.addcdiv_(m_, scratch_, -lr * root / correction1);
}

}  // namespace massact::train
