// Attention of whole sequences: a tiled path that never holds T×T values per head, and an explicit
// path, a few rows of one head at a time, for those who want to see or edit scores and pattern.
#pragma once

#include <cstdint>
#include <span>

#include "massact/base/threads.h"
#include "massact/ops/precision.h"
#include "massact/tensor/tensor.h"

namespace massact::ops {

/// Rows [first, first + count) of a batch that form one sequence.
struct RowRange {
  std::int64_t first = 0;
  std::int64_t count = 0;
};

enum class AttentionKind : std::uint8_t {
  softmax,
  sigmoid  ///< σ(score), no normalisation (arXiv 2410.10781's ablation)
};

/// Positions that lie on a grid, row by row: an image's patches, as SAM attends to them (arXiv
/// 2304.02643). Not together with causal, sliding windows or ALiBi.
struct GridOptions {
  std::int64_t columns = 0;  ///< of the grid; 0: there is none
  /// > 0: the grid is cut into squares of this side, from its upper left corner on; a query sees
  /// the keys of its own square. Those on the right and lower edge may be smaller.
  std::int64_t window = 0;
  /// Added to the scores behind the soft cap, or empty: [R, H * n] and [R, H * m], rows as q's. The
  /// key in row y and column x of the window (without windows: of the grid) gets
  /// row_bias(r, h * n + y) + column_bias(r, h * m + x).
  ConstFloatMatrix row_bias{}, column_bias{};
};

/// H query heads share G key/value heads (GQA, arXiv 2305.13245); c = head_size.
struct AttentionOptions {
  std::int64_t heads = 1;      ///< H
  std::int64_t kv_heads = 1;   ///< G, divides H
  std::int64_t head_size = 1;  ///< c
  float scale = 1.0f;          ///< multiplies q·k
  AttentionKind kind = AttentionKind::softmax;
  bool causal = true;
  std::int64_t window = 0;              ///< > 0: query i sees keys j with i - j < window only
  float soft_cap = 0.0f;                ///< > 0: score = cap * tanh(score / cap), before the mask
  std::span<const float> alibi_slopes;  ///< [H] or empty: score += b(j) - b(i) with
  float alibi_factor = 1.0f;            ///< b(t) = factor * slope * t (arXiv 2108.12409), or
  bool alibi_in_bf16 = false;           ///< b(t) = factor * bf16(slope * bf16(t)) (Falcon)

  // The explicit slot: column 0, seen by every query, never masked, no rotary (facts.md, Eq. 3).
  std::span<const float> slot_key;    ///< [G * c] or empty; its logit is scale * q·k′
  std::span<const float> slot_value;  ///< [G * c] or empty: zero
  std::span<const float> slot_logit;  ///< [H] or empty: a logit not computed from a key
                                      ///< (gpt-oss's sinks; zeros give softmax-off-by-one)
  ConstFloatMatrix slot_logits{};     ///< [R, H] or empty: the same for each query, rows as q's
  // Clipped softmax: clip((eta - gamma) * p + gamma, 0, 1) (arXiv 2306.12929).
  float clip_gamma = 0.0f;
  float clip_eta = 1.0f;

  GridOptions grid;

  /// In what q·k and p·v are computed by the tiled path; the softmax is f32. bf16 is a wish: where
  /// the CPU has neither AMX nor AVX512-BF16, and for heads of less than 16, f32 is used.
  Precision precision = Precision::f32;

  bool has_slot() const {
    return !slot_key.empty() || !slot_logit.empty() || slot_logits.data != nullptr;
  }
  /// The same for the sequence in these rows of a batch by itself.
  AttentionOptions of_sequence(RowRange rows) const;
};

/// z[t, h, :] = Σ_j p(t, j) v_j for each sequence. q, z: [R, H * c]; k, v: [R, G * c]; rows of
/// different sequences do not see each other. A sequence's bits do not depend on the others or on
/// the number of threads. Rotary is already applied. z must not overlap the inputs.
void attention(ConstFloatMatrix q, ConstFloatMatrix k, ConstFloatMatrix v,
               std::span<const RowRange> sequences, const AttentionOptions& options, FloatMatrix z,
               Threads& threads);

/// Scores of head `head` for queries [first_query, first_query + scores.rows) of ONE sequence whose
/// queries and keys are q [T, H * c] and k [T, G * c] (options: of_sequence): after scale, soft
/// cap, ALiBi, grid bias and mask (-inf). scores: [rows, S], S = T + has_slot(); the slot is column
/// 0.
void attention_scores(ConstFloatMatrix q, ConstFloatMatrix k, const AttentionOptions& options,
                      std::int64_t head, std::int64_t first_query, FloatMatrix scores);

/// Scores → probabilities in place (softmax, or what `options` say instead). A row of -inf only
/// becomes zeros.
void attention_pattern(FloatMatrix scores, const AttentionOptions& options);

/// z rows of one head from its pattern: z[i, :] = Σ_j pattern[i, j] value_j; z: [rows, c],
/// v: [T, G * c] of the same sequence.
void attention_apply(ConstFloatMatrix pattern, ConstFloatMatrix v, const AttentionOptions& options,
                     std::int64_t head, FloatMatrix z);

}  // namespace massact::ops
