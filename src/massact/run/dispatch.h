// Brings a block's sites to the observers and edits of a plan.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "massact/model/block.h"
#include "massact/run/plan.h"

namespace massact {

/// The rows of a batch: whole sequences, or one piece of one (logits).
struct Batch {
  std::int64_t first_sequence = 0;
  std::vector<ops::RowRange> sequences;  ///< rows relative to the batch
  std::int64_t rows = 0;
  std::int64_t first_position = 0;  ///< of a batch that is a piece
  std::int64_t dropped_rows = 0;    ///< prefix rows that are no longer there (final sites)
};

/// The SiteVisitor of one stream in one block (-1: outside the blocks). Counts visits and values
/// set in the plan. Throws Error if the block's result (resid_post, after edits) is not finite.
class Dispatch final : public SiteVisitor {
 public:
  /// `stream` is what runs; observers of streams that have not forked yet see its values too.
  /// The time that observers take is added to `times`.
  Dispatch(Plan& plan, int stream, int block, Threads& threads, StageTimes& times);

  /// The batch that the next visits are about.
  void set_batch(const Batch& batch) { batch_ = &batch; }

  bool wants(SiteKind kind) const override;
  bool visit(SiteKind kind, FloatMatrix values) override;
  bool visit_map(SiteKind kind, std::int64_t sequence, std::int64_t head, std::int64_t first_query,
                 FloatMatrix values) override;
  bool wants_attention(ops::AttentionSums& sums) override;
  void visit_attention(const ops::AttentionOptions& options, ops::AttentionSums& sums,
                       ConstFloatMatrix z) override;

 private:
  struct Here {
    std::vector<Plan::Attached*> observers;
    std::vector<Plan::Planned*> edits;
  };
  static bool apply_edits(Here& here, const SiteView& view);
  void show(Here& here, SiteView view);
  SiteView view_of(SiteKind kind, std::size_t sequence_in_batch) const;
  std::span<const std::int32_t> tokens_of(std::size_t sequence_in_batch) const;

  Plan& plan_;
  int stream_;
  int block_;
  Threads& threads_;
  StageTimes& times_;
  const Batch* batch_ = nullptr;
  std::array<Here, kSiteKinds> by_kind_;
  Plan::Watched* watched_ = nullptr;
};

}  // namespace massact
