// The one block function. Every study runs through it: it carries hidden states from the residual
// stream before the block to the one after it and stops at every site on the way.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "massact/model/model.h"
#include "massact/model/norm_layer.h"
#include "massact/model/patch_attention.h"
#include "massact/model/rope_tables.h"
#include "massact/model/site_visitor.h"
#include "massact/model/workspace.h"
#include "massact/ops/attention.h"
#include "massact/ops/matmul.h"

namespace massact {

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
  /// Bytes as stored of what `pack` reads at a time, at most: the weights of one product.
  static std::uint64_t source_bytes(const Model& model, int index);

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
  std::vector<float> attn_scale_, mlp_scale_;  // LayerScale
  PatchAttention patches_;                     // windows, relative positions

  explicit Block(const Model& model) : config_(&model.config()), model_(model) {}
};

}  // namespace massact
