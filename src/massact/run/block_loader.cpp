#include "massact/run/block_loader.h"

#include <system_error>

#include "massact/base/clock.h"

namespace massact {
namespace {

std::string prefix_of(int index) { return "blocks." + std::to_string(index) + "."; }

}  // namespace

BlockLoader::BlockLoader(const Model& model, std::int64_t count, ops::Precision precision,
                         bool resident)
    : model_(model),
      precision_(precision),
      resident_(resident),
      kept_(static_cast<std::size_t>(count)) {
  if (count > 0) read_ahead(0);
}

BlockLoader::~BlockLoader() {
  if (reading_.valid()) reading_.wait();
}

void BlockLoader::read_ahead(int index) {
  if (index < 0 || kept_[static_cast<std::size_t>(index)]) return;
  try {
    reading_ = std::async(std::launch::async,
                          [this, index] { model_.weights().will_need(prefix_of(index)); });
  } catch (const std::system_error&) {  // no thread to be had: packing reads the file itself
  }
}

Block BlockLoader::pack(int index, Threads& threads) {
  const Stopwatch packing;
  Block block = Block::pack(model_, index, precision_, threads);
  model_.weights().release(prefix_of(index));  // norms and biases
  seconds_packed_ += packing.seconds();
  return block;
}

std::shared_ptr<const Block> BlockLoader::get(int index, int next, Threads& threads) {
  const Stopwatch waiting;
  if (reading_.valid()) reading_.get();
  seconds_waited_ += waiting.seconds();
  read_ahead(next);
  auto& kept = kept_[static_cast<std::size_t>(index)];
  if (kept) return kept;
  auto block = std::make_shared<const Block>(pack(index, threads));
  if (resident_) kept = block;
  return block;
}

}  // namespace massact
