// Which tokens carry massive activations: the set C of the paper's equation 2.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "massact/observe/magnitudes.h"
#include "massact/run/finding.h"

namespace massact::observe {

/// By layer as users count, then by sequence: positions (the sink token's row included), ascending.
using TokenLists = std::map<int, std::map<std::int64_t, std::vector<std::int64_t>>>;

/// C of every block and sequence: the positions whose hidden state is massive as the block receives
/// it, that is at the layer before.
class MassiveTokens {
 public:
  /// By `rule`, read off `magnitudes` while it runs: it must watch the same plan's hidden states,
  /// all layers, and outlive this. Not for the automatic rule, which needs all sequences.
  MassiveTokens(const Magnitudes& magnitudes, Rule rule) : magnitudes_(&magnitudes), rule_(rule) {}
  /// From lists that are known before.
  explicit MassiveTokens(TokenLists lists) : lists_(std::move(lists)) {}

  /// C of block `block` (its input is layer `block`), ascending.
  std::vector<std::int64_t> at(int block, std::int64_t sequence) const;

 private:
  const Magnitudes* magnitudes_ = nullptr;
  Rule rule_;
  TokenLists lists_;
};

}  // namespace massact::observe
