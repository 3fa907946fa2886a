// Named runs: the models that this project ships, and a quick one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "train/config.h"

namespace massact::train {

inline constexpr const char* kSmokePreset = "smoke";

struct Preset {
  std::string name;
  std::string purpose;
  ModelConfig model;
  TrainConfig train;
  std::int64_t vocab_size = 2048;  // of the tokenizer, if `run --text` trains one
};

const std::vector<Preset>& presets();

/// Throws UsageError listing the names if there is no such preset.
const Preset& find_preset(std::string_view name);

}  // namespace massact::train
