// The training loop.
#pragma once

#include <ATen/ATen.h>

#include <filesystem>
#include <functional>
#include <string>

#include "train/config.h"

namespace massact::train {

struct RunOptions {
  std::filesystem::path data;  // a folder written by `prepare`; vit: kProceduralData (source.h)
  std::filesystem::path out;   // the run's folder
  ModelConfig model;           // the data sets vocab and labels
  TrainConfig train;
  bool resume = false;  // go on from the newest checkpoint in `out`
  at::Device device = at::kCPU;
};

/// How the loop speaks: one line per report, for a person.
using Log = std::function<void(const std::string&)>;

/// Trains until `options.train.steps`; writes checkpoints and metrics.jsonl into `options.out`.
/// Data parallel over the ranks of `join_world()`. Throws Error when the loss is no longer finite
/// (the last checkpoint stays), when `out` holds a run and `resume` is not set, when it holds
/// another run and `resume` is set. On an interrupt request it writes a checkpoint and throws
/// Interrupted. What is learned is the same for a run that was stopped and resumed.
void run_training(const RunOptions& options, const Log& log);

}  // namespace massact::train
