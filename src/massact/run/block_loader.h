// Packs the next block while the current one computes.
#pragma once

#include <future>
#include <memory>
#include <vector>

#include "massact/model/block.h"

namespace massact {

/// Gives the blocks of a model in order, pass after pass. Use from one thread.
class BlockLoader {
 public:
  /// Blocks 0 … count-1; with `resident` they stay in memory once packed.
  BlockLoader(const Model& model, std::int64_t count, ops::Precision precision, bool resident);
  ~BlockLoader();

  /// Block `index`, waiting for it if need be; if nobody has started on it, `threads` pack it now.
  /// Then starts packing block `next` in the background (-1: none).
  std::shared_ptr<const Block> get(int index, int next, Threads& threads);

  /// Seconds that `get` has waited so far.
  double seconds_waited() const { return seconds_waited_; }
  /// Seconds that packing has taken so far. Not while a block is being packed.
  double seconds_packed() const { return seconds_packed_; }

 private:
  std::shared_ptr<const Block> load(int index, Threads& threads);
  void start(int index);

  const Model& model_;
  ops::Precision precision_;
  bool resident_;
  Threads packers_{1};  // its caller's thread only: the background thread packs by itself
  std::vector<std::shared_ptr<const Block>> kept_;
  std::future<std::shared_ptr<const Block>> next_;
  int next_index_ = -1;
  double seconds_waited_ = 0;
  double seconds_packed_ = 0;  // written by the background thread, read after its future
};

}  // namespace massact
