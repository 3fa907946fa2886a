// Attention watched without maps: sums over probabilities and logits, taken from the tiles of the
// tiled path in a second pass over them, once the softmax's denominator is known.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "massact/ops/attention.h"

namespace massact::ops {

/// What is summed about an attention call, in O(rows) memory per head. R rows, H heads, c head
/// size. Rows of no sequence hold zeros. Entries [h, r] of the vectors are at h * R + r.
struct AttentionSums {
  /// [R] or empty: 1 where the row, as a key, belongs to the chosen set C.
  std::vector<std::uint8_t> chosen;
  /// Queries of a sequence whose probabilities are also summed apart (`prefix_sums`).
  std::int64_t prefix = 0;
  std::vector<std::int64_t> prefixes;  ///< [sequences] one for each instead, or empty

  std::int64_t rows = 0;             ///< R
  std::vector<double> column_sums;   ///< [H, R] Σ_t p(t, r)
  std::vector<double> prefix_sums;   ///< [H, R] the same over queries t < prefix
  std::vector<double> score_sums;    ///< [H, R] Σ_t of the logits of queries t that see r
  std::vector<float> entropy;        ///< [H, R] of query r, nats, the slot included; softmax only
  std::vector<float> chosen_weight;  ///< [H, R] Σ_{j in C} p(r, j)
  std::vector<float> slot_weight;    ///< [H, R] probability of the slot; empty without one
  std::vector<float> slot_score;     ///< [H, R] its logit; empty without one
  Buffer<float> chosen_output;       ///< [R, H * c] Σ_{j in C} p(r, j) v_j; see `output`
  /// [H, sequences]: |z − (C + slot + rest)| / max(|C|, |slot|, |rest|), largest component of the
  /// sequence's last query, each term summed for itself in fp32.
  std::vector<float> closure;

  /// chosen_output as a matrix.
  FloatMatrix output(const AttentionOptions& options) {
    return {chosen_output.data(), rows, options.heads * options.head_size};
  }
  /// Sizes everything for a call and sets it to zero.
  void prepare(std::int64_t row_count, std::int64_t sequences, const AttentionOptions& options);
  std::int64_t prefix_of(std::int64_t sequence) const {
    return prefixes.empty() ? prefix : prefixes[static_cast<std::size_t>(sequence)];
  }
  std::size_t at(std::int64_t head, std::int64_t row) const {
    return static_cast<std::size_t>(head * rows + row);
  }
};

/// `attention` (same contract, same bits of z), which also fills `sums` from sums.chosen and
/// sums.prefix. Its bits do not depend on the number of threads or on other sequences.
void attention(ConstFloatMatrix q, ConstFloatMatrix k, ConstFloatMatrix v,
               std::span<const RowRange> sequences, const AttentionOptions& options, FloatMatrix z,
               AttentionSums& sums, Threads& threads);

/// True if query i of a sequence sees its key j.
bool sees(const AttentionOptions& options, std::int64_t i, std::int64_t j);

/// How many queries of a sequence of `count` rows see key j.
std::int64_t queries_of_key(const AttentionOptions& options, std::int64_t j, std::int64_t count);

}  // namespace massact::ops
