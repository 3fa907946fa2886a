#include "massact/run/block_loader.h"

#include "massact/base/clock.h"

namespace massact {

BlockLoader::BlockLoader(const Model& model, std::int64_t count, ops::Precision precision,
                         bool resident)
    : model_(model),
      precision_(precision),
      resident_(resident),
      kept_(static_cast<std::size_t>(count)) {}

BlockLoader::~BlockLoader() {
  if (next_.valid()) next_.wait();
}

std::shared_ptr<const Block> BlockLoader::load(int index, Threads& threads) {
  const Stopwatch packing;
  const std::string prefix = "blocks." + std::to_string(index) + ".";
  model_.weights().will_need(prefix);
  auto block = std::make_shared<const Block>(Block::pack(model_, index, precision_, threads));
  model_.weights().release(prefix);
  seconds_packed_ += packing.seconds();
  return block;
}

void BlockLoader::start(int index) {
  if (index < 0 || kept_[static_cast<std::size_t>(index)]) return;
  next_ = std::async(std::launch::async, [this, index] { return load(index, packers_); });
  next_index_ = index;
}

std::shared_ptr<const Block> BlockLoader::get(int index, int next, Threads& threads) {
  const Stopwatch waiting;
  auto& kept = kept_[static_cast<std::size_t>(index)];
  std::shared_ptr<const Block> block = kept;
  if (!block) {
    block = next_index_ == index ? next_.get() : load(index, threads);
    next_index_ = -1;
    if (resident_) kept = block;
  }
  seconds_waited_ += waiting.seconds();
  start(next);
  return block;
}

}  // namespace massact
