// Rotary frequencies with every scaling that Llama-like configurations use.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "massact/io/json.h"
#include "massact/ops/rope.h"

namespace massact {

enum class RopeScaling : std::uint8_t {
  none,
  linear,   ///< frequencies / factor
  dynamic,  ///< NTK-aware base, for texts longer than original_positions
  yarn,     ///< arXiv 2309.00071
  llama3,   ///< Llama 3.1's blend by wavelength
  longrope  ///< arXiv 2402.13753; another set of factors for texts longer than original_positions
};

struct RopeConfig {
  ops::RopeStyle style = ops::RopeStyle::half;
  std::int64_t dims = 0;  ///< rotated elements per head
  double base = 10000.0;  ///< "rope_theta"
  RopeScaling scaling = RopeScaling::none;
  double factor = 1.0;
  std::int64_t original_positions = 0;                   ///< of pre-training
  double attention_factor = 1.0;                         ///< multiplies cos and sin
  double low_freq_factor = 1.0, high_freq_factor = 4.0;  ///< llama3
  double beta_fast = 32.0, beta_slow = 1.0;              ///< yarn
  bool truncate = true;                                  ///< yarn
  std::vector<double> short_factors, long_factors;       ///< longrope, [dims / 2] each

  bool operator==(const RopeConfig&) const = default;

  /// True if the frequencies depend on the length of the text.
  bool depends_on_length() const {
    return scaling == RopeScaling::dynamic || scaling == RopeScaling::longrope;
  }
};

/// Inverse frequencies [dims / 2] for a text of `positions` tokens, in f32 arithmetic as HF's.
std::vector<float> rope_frequencies(const RopeConfig& rope, std::int64_t positions);

/// What a config calls the base and the rotated share of a head, and what they are without it.
struct RopeFields {
  std::string_view base = "rope_theta";
  std::string_view share = "partial_rotary_factor";
  double default_base = 10000.0;
  double default_share = 1.0;
};

/// Reads base and scaling: `rope_scaling` (old spelling, "type" or "rope_type") or
/// `rope_parameters` (new spelling) of an HF config. Needs `max_position_embeddings` there.
RopeConfig read_rope_config(const JsonObject& config, std::int64_t head_size,
                            const RopeFields& fields = {});

/// The same from one object of the new spelling.
RopeConfig read_rope_parameters(const JsonObject& config, const JsonObject& parameters,
                                std::int64_t head_size, const RopeFields& fields = {});

}  // namespace massact
