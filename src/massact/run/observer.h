// What plugs into the executor: observers read sites, edits write them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "massact/base/threads.h"
#include "massact/model/sites.h"
#include "massact/ops/attention_sums.h"
#include "massact/tensor/tensor.h"

namespace massact {

/// Id of a row that a stream adds to its images (Plan::fork).
inline constexpr std::int32_t kAddedToken = -2;

/// The values of one site for (part of) one sequence of one stream.
struct SiteView {
  Site site;
  int stream = 0;             ///< 0 is the original
  std::int64_t sequence = 0;  ///< index in the corpus
  /// All rows' token ids (0 for the rows of images); -1 for the sink token's row, kAddedToken for
  /// those of tokens that the stream adds, which come last. Their count is the sequence's T, also
  /// at sites with one row per sequence (logits of a head that pools).
  std::span<const std::int32_t> tokens;
  std::int64_t first_position = 0;  ///< position of row 0 (large sites come in pieces)
  std::int64_t head = -1;           ///< attention maps: the query head; else -1
  FloatMatrix values;               ///< [positions, site_width] or [positions, S]
};

/// Reads a site, accumulates, answers afterwards.
///
/// The executor calls `observe` from one thread at a time, layer by layer, and within a site in
/// order of sequence, head and position, whatever the batch size, number of passes or threads. At
/// the final sites (ln_final_out, logits) each piece of each sequence is shown for all streams, in
/// order of stream, before the next piece: streams can be compared on the spot. An
/// observer that works through its input in that order (splitting by fixed blocks when it uses
/// `threads`) gives the same bits every time.
class Observer {
 public:
  virtual ~Observer() = default;
  /// Must not change `view.values`.
  virtual void observe(const SiteView& view, Threads& threads) = 0;
};

/// The attention of one sequence in one block, summed up.
struct AttentionView {
  int block = 0;
  int stream = 0;
  std::int64_t sequence = 0;
  std::span<const std::int32_t> tokens;  ///< as in SiteView
  ops::RowRange rows;                    ///< the sequence's, in the matrices of the batch
  std::int64_t index = 0;                ///< of the sequence in AttentionSums::closure
  std::int64_t sequences_in_batch = 0;
  const ops::AttentionOptions& options;
  ops::AttentionSums& sums;  ///< of the whole batch
  ConstFloatMatrix z;        ///< [R, H * c] as the site attn.hook_z
};

/// Watches attention without maps: the tiles are summed up as they are computed
/// (ops/attention_sums.h). Called in the order that Observer promises, `choose` for all sequences
/// of a batch first, behind the sites of the block up to rot_k.
class AttentionObserver {
 public:
  virtual ~AttentionObserver() = default;
  /// Marks (with 1) the positions of C, whose share of the output is summed apart.
  virtual void choose(int block, std::int64_t sequence, std::span<std::uint8_t> positions) = 0;
  /// Queries whose probabilities are also summed apart.
  virtual std::int64_t prefix() const { return 0; }
  virtual void observe(const AttentionView& view, Threads& threads) = 0;
};

/// Writes a site. What it writes is what everything downstream reads.
class Edit {
 public:
  virtual ~Edit() = default;
  /// Changes `view.values` where it applies; returns how many values it set (whether or not that
  /// changed them). An edit that sets none in a whole run is an error.
  virtual std::int64_t apply(const SiteView& view) = 0;
  /// For messages and reports: "zero (start, 1415)".
  virtual std::string description() const = 0;
};

}  // namespace massact
