// AdamW with decoupled decay, gradient clipping, and the warm-up and cosine schedule.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>

#include "train/config.h"
#include "train/parameters.h"

namespace massact::train {

/// Learning rate of `step` (counted from 0): linear warm-up, then a cosine from lr to min_lr that
/// ends at the last step.
double learning_rate(const TrainConfig& config, std::int64_t step);

/// Scales the gradients so that their norm is at most `limit` (0: no limit). Returns the norm
/// before; not finite if any gradient is not.
double clip_gradients(Parameters& parameters, double limit);

/// Moments live in two flat tensors beside the flat parameters.
class AdamW {
 public:
  AdamW(const TrainConfig& config, Parameters& parameters);

  /// One update with learning rate `lr`; `step` counts from 0 (bias correction).
  void update(double lr, std::int64_t step);

  /// First and second moments, in the order of the flat parameters; writable (resume).
  const at::Tensor& first_moment() const { return m_; }
  const at::Tensor& second_moment() const { return v_; }

 private:
  const TrainConfig& config_;
  Parameters& parameters_;
  at::Tensor m_;
  at::Tensor v_;
  at::Tensor scratch_;
};

}  // namespace massact::train
