// Reads the next block's weights ahead while the current one computes.
#pragma once

#include <future>
#include <memory>
#include <vector>

#include "massact/model/block.h"

namespace massact {

/// Gives the blocks of a model in order, pass after pass. One packed block is in memory at a time:
/// the next one's weights are only read into the system's cache meanwhile, and packed by all
/// threads once the caller is done with the one before. (Packing beside the computing would take
/// from it what it saves, and hold a second block.) Use from one thread.
class BlockLoader {
 public:
  /// Blocks 0 … count-1; with `resident` they stay in memory once packed. Begins to read block 0.
  BlockLoader(const Model& model, std::int64_t count, ops::Precision precision, bool resident);
  ~BlockLoader();

  /// Block `index`, packed by `threads` when its weights are read; begins to read block `next`
  /// (-1: none). The caller holds no other block.
  std::shared_ptr<const Block> get(int index, int next, Threads& threads);

  /// Seconds that `get` has waited for the file so far.
  double seconds_waited() const { return seconds_waited_; }
  /// Seconds that `get` has packed so far.
  double seconds_packed() const { return seconds_packed_; }

 private:
  void read_ahead(int index);
  Block pack(int index, Threads& threads);

  const Model& model_;
  ops::Precision precision_;
  bool resident_;
  std::vector<std::shared_ptr<const Block>> kept_;
  std::future<void> reading_;
  double seconds_waited_ = 0;
  double seconds_packed_ = 0;
};

}  // namespace massact
