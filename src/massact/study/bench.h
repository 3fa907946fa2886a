// How fast and how large a scan is on this machine, on a model of a well-known shape with random
// weights or on a real file.
#pragma once

#include <cstdint>
#include <string>

#include "massact/base/progress.h"
#include "massact/run/executor.h"

namespace massact {

struct BenchOptions {
  std::int64_t tokens = 2048;  ///< per sequence
  std::int64_t sequences = 8;
  bool observers = true;  ///< what `scan` watches; else nothing but the last site
  RunOptions run;
};

struct BenchResult {
  std::string model;
  std::int64_t layers = 0;
  std::int64_t tokens = 0;  ///< all sequences
  RunReport run;
  double matmul_flops = 0;     ///< multiplications and additions of the projections
  double attention_flops = 0;  ///< of scores and weighted values, what causality leaves
  double peak_flops = 0;       ///< measured register peak per second, of the precision used
  std::uint64_t predicted_resident = 0;

  double tokens_per_second() const { return static_cast<double>(tokens) / run.seconds; }
  double flops_per_second() const { return (matmul_flops + attention_flops) / run.seconds; }
  /// What the projections' products alone reached in this run.
  double product_flops_per_second() const { return matmul_flops / run.times[Stage::matmul]; }
  double product_share() const { return flops_per_second() / product_flops_per_second(); }
  double peak_share() const { return flops_per_second() / peak_flops; }
};

/// Runs random tokens through the model.
BenchResult run_bench(const Model& model, const BenchOptions& options, Progress& progress);

}  // namespace massact
