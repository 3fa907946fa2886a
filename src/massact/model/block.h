// The one block function. Every study runs through it: it carries hidden states from the residual
// stream before the block to the one after it and stops at every site on the way.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "massact/model/model.h"
#include "massact/model/sites.h"
#include "massact/model/stage_times.h"
#include "massact/ops/attention_sums.h"
#include "massact/ops/matmul.h"
#include "massact/ops/norm.h"
#include "massact/ops/rope.h"

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

/// Rotary tables for all lengths of text in a run.
class RopeTables {
 public:
  RopeTables(const ModelConfig& config, std::span<const std::int64_t> lengths);
  /// The table for a text of `length` rows, one of the constructor's; `local`: with the
  /// frequencies of blocks that have a sliding window.
  const ops::RopeTable& for_length(std::int64_t length, bool local) const;

 private:
  using ByLength = std::map<std::int64_t, ops::RopeTable>;  // key 0: one table serves all
  static ByLength tables_of(const RopeConfig& rope, std::span<const std::int64_t> lengths);
  ByLength everywhere_, local_;
};

/// Memory that block calls reuse, and where their time went. One per thread of control.
struct Workspace {
  Buffer<float> normed, normalized, scale, qkv, z, out, mlp, gates, maps, expert_in, expert_out;
  ops::AttentionSums sums;
  StageTimes times;

  /// `buffer` as a matrix, grown if need be; what it held is lost.
  static FloatMatrix take(Buffer<float>& buffer, std::int64_t rows, std::int64_t cols) {
    buffer.reserve_discarding(rows * cols);
    return {buffer.data(), rows, cols};
  }

  /// Bytes that a batch of `rows` rows needs (without attention maps).
  static std::uint64_t bytes_for(const ModelConfig& config, std::int64_t rows);
  /// More of them for attention's sums.
  static std::uint64_t sums_bytes_for(const ModelConfig& config, std::int64_t rows);
};

/// The weights of one normalisation.
struct NormWeights {
  std::vector<float> weight, bias;

  static NormWeights read(const BoundWeights& weights, const std::string& canonical);
  ops::NormOptions options(const ModelConfig& config) const;
};

class MoeMlp;

/// The weights of one block, packed for the kernels. Immutable; thread-safe.
class Block {
 public:
  /// Reads block `index` of the model. `threads` do the packing.
  static Block pack(const Model& model, int index, ops::Precision precision, Threads& threads);

  /// Runs the block on hidden [R, d], in place.
  void run(FloatMatrix hidden, std::span<const ops::RowRange> sequences, const RopeTables& rope,
           SiteVisitor& sites, Workspace& workspace, Threads& threads) const;

  /// Bytes of a packed block of this architecture, without experts that no token was sent to yet.
  static std::uint64_t packed_bytes(const ModelConfig& config, ops::Precision precision);

 private:
  struct Input;  // what a product reads
  struct Call;   // the arguments of `run`, handed on

  void run_sequential(FloatMatrix hidden, const Call& call) const;
  void run_parallel(FloatMatrix hidden, const Call& call) const;
  void normalise_stream(const NormWeights& norm, SiteKind scale_site, FloatMatrix hidden,
                        const Call& call) const;
  void write_attention(ConstFloatMatrix z, FloatMatrix hidden, const Call& call) const;
  void write_mlp(FloatMatrix post, FloatMatrix hidden, const Call& call) const;
  FloatMatrix attend(const Input& normed, const Call& call) const;
  void normalise_heads(FloatMatrix x, const NormWeights& norm, std::int64_t heads,
                       const Call& call) const;
  void rotate(FloatMatrix q, FloatMatrix k, const Call& call) const;
  void finish_heads(const Input& normed, FloatMatrix z, FloatMatrix chosen, const Call& call) const;
  FloatMatrix transform(const Input& normed, const Call& call) const;
  ops::AttentionOptions attention_options() const;

  const ModelConfig* config_ = nullptr;
  Model model_;  // keeps config_ alive
  int index_ = 0;
  NormWeights ln1_, ln1_post_, ln2_, ln2_post_, q_norm_, k_norm_;
  ops::PackedMatrix qkv_, attn_out_, mlp_in_, mlp_out_, head_gate_;
  std::vector<float> qkv_bias_, attn_out_bias_, mlp_in_bias_, mlp_out_bias_;
  std::shared_ptr<const MoeMlp> moe_;  // instead of mlp_in_ and mlp_out_
  std::vector<float> slot_key_, slot_value_, slot_logit_, value_bias_;

  explicit Block(const Model& model) : config_(&model.config()), model_(model) {}
};

/// Normalises `hidden` into `out`, stopping at the norm's three sites (scale, normalized, out).
void run_norm(const ModelConfig& config, const NormWeights& weights, SiteKind scale_site,
              ConstFloatMatrix hidden, FloatMatrix out, SiteVisitor& sites, Workspace& workspace,
              Threads& threads);

}  // namespace massact
