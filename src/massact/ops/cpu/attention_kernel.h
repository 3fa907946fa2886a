// The arithmetic of tiled attention. The driver (attention_tiles.cpp) walks over blocks of queries
// and tiles of keys; a kernel lays q, k, v out for its instructions and multiplies them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "massact/ops/attention.h"
#include "massact/ops/cpu/divide.h"

namespace massact::ops::cpu {

class PanelKernel;

constexpr std::int64_t kKeyTile = 256;    ///< keys per tile: columns of a block of scores
constexpr std::int64_t kWeightStep = 16;  ///< rows of scores are masked in steps of this

/// Part of a tile's columns: [first, last).
struct Columns {
  std::int64_t first = 0;
  std::int64_t last = 0;
};

/// The first `rows` rows of a block of scores, these columns.
struct BlockPart {
  std::int64_t rows = 0;
  Columns columns;
};

/// A kernel's products for one head size. Sizes in bytes; every buffer is 64-byte aligned.
/// Rows of `scores` and `out` are kKeyTile and `out_stride()` floats long.
class AttentionKernel {
 public:
  /// `out_step`: output columns are padded to a multiple of it.
  AttentionKernel(std::int64_t head_size, std::int64_t out_step)
      : head_size_(head_size), out_stride_(round_up(head_size, out_step)) {}
  virtual ~AttentionKernel() = default;

  std::int64_t head_size() const { return head_size_; }
  /// Columns of accumulated outputs: the head size padded to whole vectors.
  std::int64_t out_stride() const { return out_stride_; }
  /// Queries per block.
  virtual std::int64_t block_rows() const = 0;

  /// Scores of this many keys are computed at a time: divides kKeyTile, a multiple of kWeightStep.
  virtual std::int64_t key_step() const = 0;

  virtual std::int64_t query_bytes() const = 0;       ///< of a block of queries
  virtual std::int64_t key_tile_bytes() const = 0;    ///< of a tile of keys
  virtual std::int64_t value_tile_bytes() const = 0;  ///< of a tile of values

  /// Packs up to block_rows() queries, times `scale`; missing rows become zero.
  virtual void pack_queries(ConstFloatMatrix q, float scale, std::byte* out) const = 0;
  /// Packs up to kKeyTile keys or values; rows missing in the last step become zero.
  virtual void pack_keys(ConstFloatMatrix k, std::byte* out) const = 0;
  virtual void pack_values(ConstFloatMatrix v, std::byte* out) const = 0;

  /// scores[r][j] = q_r · k_j for the part's rows and columns j (multiples of key_step()). A
  /// kernel may compute more rows of the block.
  virtual void scores(const std::byte* queries, const std::byte* keys, BlockPart part,
                      float* scores) const = 0;
  /// out[r][:] = correction[r] * out[r][:] + Σ_j weights[r][j] v_j over the part's columns j, which
  /// may be any: weights are 0 in the rest of their steps.
  virtual void accumulate(const float* weights, const std::byte* values, BlockPart part,
                          const float* correction, float* out) const = 0;

 private:
  std::int64_t head_size_;
  std::int64_t out_stride_;
};

/// The f32 kernel, for any head size on any CPU.
std::unique_ptr<const AttentionKernel> attention_kernel_f32(std::int64_t head_size);

/// bf16 products of `panels`.
std::unique_ptr<const AttentionKernel> attention_kernel_bf16(std::int64_t head_size,
                                                             const PanelKernel& panels);

/// What becomes of a block's scores.
enum class ScoreMode : std::uint8_t {
  online,      ///< weights relative to the running maximum; maximum, sum and correction updated
  statistics,  ///< only maximum and sum are updated
  clipped,     ///< clipped probabilities from the final maximum and sum
  sigmoid
};

/// GridOptions' bias of a block's queries.
struct BlockBias {
  const float* rows = nullptr;     ///< of the first query, its head's part; null: none
  const float* columns = nullptr;  ///< likewise
  std::int64_t row_stride = 0;     ///< from a query to the next
  std::int64_t column_stride = 0;
  std::int64_t grid_columns = 1;
};

/// A block of scores of consecutive queries against a tile of keys.
struct ScoreBlock {
  float* scores = nullptr;  ///< [rows][kKeyTile], replaced by weights
  std::int64_t rows = 0;
  std::int64_t first_query = 0;
  std::int64_t first_key = 0;
  std::int64_t key_count = 0;  ///< of the whole sequence
  Columns columns;             ///< computed ones; multiples of the kernel's key_step()
  float alibi_slope = 0.0f;
  float* maximum = nullptr;     ///< [rows]
  float* sum = nullptr;         ///< [rows]
  float* correction = nullptr;  ///< [rows] what the outputs so far must be multiplied with
  BlockBias bias{};
};

/// Keys [first, last) that query i of a sequence of `key_count` sees.
struct VisibleKeys {
  std::int64_t first, last;
};
inline VisibleKeys visible_keys(const AttentionOptions& options, std::int64_t i,
                                std::int64_t key_count) {
  const std::int64_t first = options.window > 0 && i >= options.window ? i - options.window + 1 : 0;
  return {first, options.causal && i + 1 < key_count ? i + 1 : key_count};
}

/// Soft cap, ALiBi, grid bias, mask, then weights according to `mode`. Weights of hidden keys are
/// 0.
void weigh_scores(const ScoreBlock& block, const AttentionOptions& options, ScoreMode mode);

/// Where the sums over a block's queries go, beside its ScoreBlock.
struct BlockSums {
  std::int64_t prefix_rows = 0;      ///< the block's first rows, whose weights go to `prefix`
  float* prefix = nullptr;           ///< [kKeyTile] += weights of those rows
  float* columns = nullptr;          ///< [kKeyTile] += weights of the other rows
  float* scores = nullptr;           ///< [kKeyTile] += visible scores of all rows
  float* weighted_scores = nullptr;  ///< [rows] += Σ weight · score
};

/// As weigh_scores with mode `clipped` or `sigmoid`: scores become final weights, from the final
/// maximum and sum; both are added up over the block's queries.
void sum_scores(const ScoreBlock& block, const AttentionOptions& options, ScoreMode mode,
                const BlockSums& sums);

/// out[c] = x[c] * factor.
void scale_row(const float* x, float factor, std::int64_t cols, float* out);

/// a · b.
float dot(const float* a, const float* b, std::int64_t count);
/// x[i] = e^(x[i] - shift), which must not be positive; returns the sum.
double exp_row(float* x, std::int64_t count, float shift);
/// x[i] = σ(x[i]).
void sigmoid_row(float* x, std::int64_t count);
/// The largest element.
float max_row(const float* x, std::int64_t count);
/// out[c] += weight * x[c].
void add_scaled_row(const float* x, float weight, std::int64_t cols, float* out);

}  // namespace massact::ops::cpu
