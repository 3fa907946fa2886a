// Mixture of experts: the options of an MLP that sends each token to a few of many small ones.
#pragma once

#include <cstdint>
#include <vector>

namespace massact {

/// How the router turns its logits into the weights of the chosen experts.
enum class RouterKind : std::uint8_t {
  softmax_then_choose,  ///< probabilities over all experts; the largest are taken (Mixtral, Qwen)
  choose_then_softmax   ///< the largest logits are taken; probabilities among those (gpt-oss)
};

/// What an expert computes between its projections, of gate g and input u.
enum class ExpertKind : std::uint8_t {
  gated,          ///< act(g) * u with the model's activation
  clamped_swiglu  ///< (u' + 1) * g' * sigmoid(alpha g'), g' <= limit, |u'| <= limit (gpt-oss)
};

struct MoeConfig {
  std::int64_t experts = 0;    ///< 0: the model has none
  std::int64_t per_token = 0;  ///< experts that each token is sent to
  std::int64_t size = 0;       ///< width of an expert's hidden layer
  RouterKind router = RouterKind::softmax_then_choose;
  bool normalised = false;  ///< the chosen weights are divided by their sum
  bool biases = false;      ///< on the router and on the experts' projections
  ExpertKind kind = ExpertKind::gated;
  float swiglu_alpha = 1.702f;
  float swiglu_limit = 7.0f;
  std::int64_t shared_size = 0;  ///< > 0: an expert that all tokens see, through a sigmoid gate
  bool in_out = false;           ///< the file's experts lie as [inputs, outputs]
  std::vector<bool> blocks;      ///< [layers] which blocks have experts instead of one MLP

  bool operator==(const MoeConfig&) const = default;

  bool in_block(std::int64_t block) const {
    return experts > 0 && blocks[static_cast<std::size_t>(block)];
  }
  /// True if some blocks have experts and others one MLP.
  bool is_mixed() const {
    bool with = false, without = false;
    for (const bool has : blocks) (has ? with : without) = true;
    return with && without;
  }
};

}  // namespace massact
