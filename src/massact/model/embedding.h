// The two ends of the network: tokens → residual stream, residual stream → logits.
#pragma once

#include <cstdint>
#include <span>

#include "massact/model/block.h"
#include "massact/model/neck.h"
#include "massact/model/pooling.h"

namespace massact {

/// Token id of a row that is no token: the sink token's.
inline constexpr std::int32_t kNoToken = -1;

/// Fills hidden [R, d] with the embeddings of the batch's rows (scaled, projected and normalised as
/// the model does it, plus learned positions), stopping at hook_embed and hook_pos_embed. tokens:
/// [R]; kNoToken only as the first row of a sequence. Throws Error if an id or a position is out of
/// the model's range.
void embed(const Model& model, std::span<const std::int32_t> tokens,
           std::span<const ops::RowRange> sequences, FloatMatrix hidden, SiteVisitor& sites,
           Workspace& workspace, Threads& threads);

/// What reading the embedding has left in memory goes back to the system: small tables and
/// positions are read where the file is mapped.
void release_embedding(const Model& model);
/// Bytes of the file that `embed` may hold at most before they are released.
std::uint64_t embedding_bytes(const Model& model);

/// The final norm and the head: the projection to the vocabulary, or to classes of what the head
/// reads of a whole sequence (pooling.h).
class Unembedding {
 public:
  static Unembedding pack(const Model& model, ops::Precision precision, Threads& threads);

  /// normed [R, d] = the final norm of hidden [R, d], stopping at ln_final.hook_out. A model
  /// without that norm copies.
  void normalise(ConstFloatMatrix hidden, FloatMatrix normed, SiteVisitor& sites,
                 Threads& threads) const;

  /// logits [R, vocab] of normed [R, d]: projected, with bias, scale and soft cap. A head that
  /// reads all takes all rows of one sequence, whose token ids are `tokens`, and gives logits [1,
  /// n] or, for each patch, [R, n]. Not for a model without a head.
  void project(ConstFloatMatrix normed, std::span<const std::int32_t> tokens, FloatMatrix logits,
               Threads& threads) const;

  /// Bytes of the packed matrix.
  static std::uint64_t packed_bytes(const ModelConfig& config, ops::Precision precision);

 private:
  explicit Unembedding(const Model& model) : model_(model) {}
  void project_twice(ConstFloatMatrix row, FloatMatrix logits, Threads& threads) const;

  Model model_;
  NormWeights norm_;
  std::shared_ptr<const Pooler> pooler_;  // of a head that pools
  std::shared_ptr<const Neck> neck_;      // instead of a projection
  ops::PackedMatrix to_embed_size_;       // before the projection, if token vectors are not d long
  ops::PackedMatrix projection_;
  std::vector<float> bias_;
  ops::PackedMatrix distilled_;  // the distillation token's own head
  std::vector<float> distilled_bias_;
};

}  // namespace massact
