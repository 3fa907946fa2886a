// metrics.jsonl: one JSON object per line, appended while training.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json_fwd.hpp>

namespace massact::train {

class MetricsLog {
 public:
  /// Opens `path` for appending; records of steps after `step` (written by a run that was killed
  /// after its last checkpoint) are dropped first.
  MetricsLog(const std::filesystem::path& path, std::int64_t step);

  /// Appends one record, which has "kind" and "step", and flushes it.
  void append(const nlohmann::json& record);

 private:
  std::filesystem::path path_;
  std::ofstream out_;
};

}  // namespace massact::train
