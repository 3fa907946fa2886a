// Which experts each token was sent to: the routing of a mixture of experts, kept for all tokens.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "massact/model/moe_config.h"
#include "massact/run/observer.h"

namespace massact::observe {

/// Bytes that Routing keeps of so many sequences and rows at all blocks with experts.
std::uint64_t routing_bytes(const MoeConfig& config, std::int64_t sequences, std::int64_t rows);

/// Watches `mlp_router`. Keeps two bytes per chosen expert: 16 bytes per token and layer for eight
/// experts per token. Copies share what was seen.
class Routing final : public Observer {
 public:
  explicit Routing(const MoeConfig& config)
      : per_token_(config.per_token), seen_(std::make_shared<Seen>()) {}

  void observe(const SiteView& view, Threads& threads) override;

  /// Blocks that were watched, ascending.
  std::vector<int> blocks() const;

  /// The experts that a token was sent to in a block, ascending. Fewer than the model's number per
  /// token only where an edit said so; more are never kept.
  std::vector<std::int64_t> experts_of(int block, std::int64_t sequence,
                                       std::int64_t position) const;

  /// Tokens sent to each expert of a block.
  std::vector<std::int64_t> load_of(int block, std::int64_t experts) const;

 private:
  static constexpr std::uint16_t kNone = 0xffff;
  using Chosen = std::vector<std::uint16_t>;                   // [positions, per_token]
  using Seen = std::map<int, std::map<std::int64_t, Chosen>>;  // block, sequence

  std::int64_t per_token_;
  std::shared_ptr<Seen> seen_;
};

}  // namespace massact::observe
