// The flags of `massact ablate` and what it does with them; `massact report` does the same.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "massact/cli/measure_flags.h"
#include "massact/study/ablate.h"

namespace massact {

struct AblateFlags {
  ModelFlags model;
  MeasureFlags measures;
  ImageFlags images;
  RunFlags run;
  OutputFlags output;
  std::string ppl = "hf";
  std::string plan = "auto";
  std::string calibration;
  std::string rule = "strict";
  std::string selector = "found";
  std::string classes;
  std::vector<double> sweep;
  bool each_layer = false;
  std::uint64_t seed = 0;
};

/// Reads the texts and tasks or the images, edits, measures.
AblateResult ablate(const Model& model, const AblateFlags& flags, Progress& progress);

}  // namespace massact
