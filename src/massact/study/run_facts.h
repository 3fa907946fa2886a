// What every report says of the run behind it.
#pragma once

#include <cstdint>
#include <string>

#include "massact/model/model.h"
#include "massact/run/executor.h"

namespace massact {

/// How a run was done.
struct RunFacts {
  std::string model;      ///< path as the user gave it
  std::string family;     ///< "llama"
  std::string precision;  ///< effective: "f32", "bf16"
  int threads = 0;
  std::int64_t layers = 0;
  std::int64_t width = 0;
  std::int64_t tokens = 0;  ///< read, over all sequences
  std::int64_t passes = 0;  ///< how often the weights were read
  double seconds = 0.0;
};

/// What a finished run says of itself.
RunFacts run_facts(const Model& model, const RunReport& report);

}  // namespace massact
