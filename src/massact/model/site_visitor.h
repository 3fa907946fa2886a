// Whoever watches a forward pass.
#pragma once

#include <cstdint>

#include "massact/model/sites.h"
#include "massact/ops/attention_sums.h"
#include "massact/tensor/tensor.h"

namespace massact {

/// What a forward pass tells whoever watches. The rows of a batch are those of its sequences, one
/// sequence after the other.
class SiteVisitor {
 public:
  virtual ~SiteVisitor() = default;

  /// True if `visit` or `visit_map` must be called for this kind of site in the current block.
  /// Others may be skipped, with the values they would need.
  virtual bool wants(SiteKind kind) const = 0;

  /// values: [rows, site_width]; what is written there is what everything downstream reads.
  /// Returns true if something was written.
  virtual bool visit(SiteKind kind, FloatMatrix values) = 0;

  /// A piece of an attention map: values [queries, S] of one head of the batch's sequence number
  /// `sequence`, for queries from `first_query` on.
  virtual bool visit_map(SiteKind kind, std::int64_t sequence, std::int64_t head,
                         std::int64_t first_query, FloatMatrix values) = 0;

  /// True if the batch's attention is to be summed up: `sums` then says of what (`chosen`,
  /// `prefix`), and comes back in `visit_attention`. Not together with attention maps.
  virtual bool wants_attention(ops::AttentionSums& /*sums*/) { return false; }

  /// The filled sums; z: what the site z is about to show. Σ_{j in C} in `sums` carries the gate of
  /// gated attention, as z does.
  virtual void visit_attention(const ops::AttentionOptions& /*options*/,
                               ops::AttentionSums& /*sums*/, ConstFloatMatrix /*z*/) {}
};

}  // namespace massact
