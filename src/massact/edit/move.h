// Moving what neurons write to a token that was added: test-time registers (Jiang et al., "Vision
// Transformers Don't Need Trained Registers", arXiv 2506.08010).
#pragma once

#include <cstdint>
#include <memory>

#include "massact/edit/selector.h"
#include "massact/model/config.h"

namespace massact::edit {

/// Which of a neuron's activations is its strongest one.
enum class Strongest : std::uint8_t {
  maximum,   ///< the published method; right for activations that are bounded below (GELU)
  magnitude  ///< of gated MLPs, whose products may be large and negative
};

/// How a model's neurons are compared.
Strongest strongest_of(const ModelConfig& config);

/// For each dimension that `selector` chooses in a sequence: its strongest value over the chosen
/// positions goes to all tokens that the stream adds (Plan::fork), and 0 to the chosen positions.
/// Rows of added tokens are never among the chosen. Throws Error, when applied, in a stream that
/// adds no tokens.
std::unique_ptr<Edit> move_to_added(std::shared_ptr<const Selector> selector, Strongest strongest,
                                    std::int64_t prefix_rows);

}  // namespace massact::edit
