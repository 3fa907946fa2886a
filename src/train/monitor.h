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
  std::int64_t position = 0;  // of the token; -1: the sink token
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

  // Images: position 0 is CLS, then come the registers, then the patches.
  double register_attention = 0;  // same, to all registers together
  double peak_attention = 0;      // of all queries, to the token with the block's largest |input|
  double norm_ratio = 0;  // mean over images of max |h_t| / lower median, L2 norms of tokens
};

std::vector<LayerReading> monitor(const Model& model, const Batch& batch);

/// The readings of images if `images` is set.
nlohmann::json to_json(const std::vector<LayerReading>& readings, bool images);

}  // namespace massact::train
