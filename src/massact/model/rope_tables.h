// The rotary tables of one run.
#pragma once

#include <cstdint>
#include <map>
#include <span>

#include "massact/model/config.h"
#include "massact/ops/rope.h"

namespace massact {

/// Rotary tables for all lengths of text in a run, or for its images.
class RopeTables {
 public:
  RopeTables(const ModelConfig& config, std::span<const std::int64_t> lengths);

  /// For images of `grid` patches: the first half of a head's pairs turns with the row, the other
  /// with the column, both from -1 to 1 over the image; tokens before the patches do not turn
  /// (DINOv3), nor do `added` ones behind them.
  RopeTables(const ModelConfig& config, PatchGrid grid, std::int64_t added = 0);

  /// The table for a text of `length` rows, one of the constructor's; `local`: with the
  /// frequencies of blocks that have a sliding window.
  const ops::RopeTable& for_length(std::int64_t length, bool local) const;

 private:
  using ByLength = std::map<std::int64_t, ops::RopeTable>;  // key 0: one table serves all
  static ByLength tables_of(const RopeConfig& rope, std::span<const std::int64_t> lengths);
  ByLength everywhere_, local_;
};

}  // namespace massact
