// The massive-activation monitor: what the strict rule looks at, measured while training.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "train/data.h"
#include "train/model.h"

namespace massact::train {

/// One of the largest values of a layer.
struct Peak {
  double value = 0;  // signed
  std::int64_t sequence = 0;
  std::int64_t position = 0;  // in the text; -1: the sink token
  std::int64_t dimension = 0;
};

/// One layer (counted from 1), over all monitored sequences.
struct LayerReading {
  std::int64_t layer = 0;
  std::vector<Peak> top;             // the three largest |h|
  double median = 0;                 // mean over sequences of the sequence's lower median of |h|
  double ratio = 0;                  // mean over sequences of max|h| / median
  double first_token_attention = 0;  // mean over sequences, heads, queries after the first
  double slot_attention = 0;         // same, to the slot or the sink token
};

std::vector<LayerReading> monitor(const Model& model, const Batch& batch);

nlohmann::json to_json(const std::vector<LayerReading>& readings);

}  // namespace massact::train
