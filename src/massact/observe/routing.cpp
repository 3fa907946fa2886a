#include "massact/observe/routing.h"

#include <algorithm>

namespace massact::observe {

std::uint64_t routing_bytes(const MoeConfig& config, std::int64_t sequences, std::int64_t rows) {
  constexpr std::int64_t kSequence = 96;  // a map's node with an empty list
  const auto blocks = std::count(config.blocks.begin(), config.blocks.end(), true);
  const std::int64_t chosen = config.per_token * static_cast<std::int64_t>(sizeof(std::uint16_t));
  return static_cast<std::uint64_t>(blocks * (sequences * kSequence + rows * chosen));
}

void Routing::observe(const SiteView& view, Threads& threads) {
  Chosen& chosen = (*seen_)[view.site.block][view.sequence];
  const auto begin = static_cast<std::size_t>(view.first_position * per_token_);
  const auto count = static_cast<std::size_t>(view.values.rows * per_token_);
  if (chosen.size() < begin + count) chosen.resize(begin + count, kNone);
  threads.parallel_for(view.values.rows, [&](std::int64_t r, int) {
    std::uint16_t* out = chosen.data() + begin + static_cast<std::size_t>(r * per_token_);
    const std::uint16_t* end = out + per_token_;
    for (std::int64_t e = 0; e < view.values.cols && out < end; ++e) {
      if (view.values(r, e) != 0.0f) *out++ = static_cast<std::uint16_t>(e);
    }
  });
}

std::vector<int> Routing::blocks() const {
  std::vector<int> blocks;
  for (const auto& [block, sequences] : *seen_) blocks.push_back(block);
  return blocks;
}

std::vector<std::int64_t> Routing::experts_of(int block, std::int64_t sequence,
                                              std::int64_t position) const {
  const Chosen& chosen = seen_->at(block).at(sequence);
  std::vector<std::int64_t> experts;
  for (std::int64_t i = 0; i < per_token_; ++i) {
    const std::uint16_t expert = chosen.at(static_cast<std::size_t>(position * per_token_ + i));
    if (expert != kNone) experts.push_back(expert);
  }
  return experts;
}

std::vector<std::int64_t> Routing::load_of(int block, std::int64_t experts) const {
  std::vector<std::int64_t> load(static_cast<std::size_t>(experts), 0);
  for (const auto& [sequence, chosen] : seen_->at(block)) {
    for (const std::uint16_t expert : chosen) {
      if (expert != kNone) ++load[expert];
    }
  }
  return load;
}

}  // namespace massact::observe
