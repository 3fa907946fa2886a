// The MLP of a block with experts. A token's input goes to the router, which chooses a few experts;
// their outputs are summed with the router's weights.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "massact/model/model.h"
#include "massact/model/sites.h"
#include "massact/ops/matmul.h"

namespace massact {

class SiteVisitor;
struct Workspace;

/// Routing weights [rows, experts] of `logits` [rows, experts], in place: those with which the
/// chosen experts' outputs are summed, zero for all others. Of equal logits the first is chosen.
void route(const MoeConfig& config, FloatMatrix logits, Threads& threads);

/// The weights of one block's experts. Thread-safe: an expert is read and packed when the first
/// token is sent to it, and kept as long as the block.
class MoeMlp {
 public:
  /// Packs the router and the shared expert of block `index`.
  MoeMlp(const Model& model, int index, ops::Precision precision, Threads& threads);

  /// The MLP's output [rows, d] for its input x, in the workspace's `out`. Visits `mlp_router` with
  /// the routing weights; what is written there decides which experts run.
  FloatMatrix run(ConstFloatMatrix x, SiteVisitor& sites, Workspace& workspace,
                  Threads& threads) const;

  /// Bytes of a block's router and shared expert, and of one expert, packed.
  static std::uint64_t base_bytes(const ModelConfig& config, ops::Precision precision);
  static std::uint64_t expert_bytes(const ModelConfig& config, ops::Precision precision);
  /// Bytes as stored of what is packed at a time in this block, at most; 0: it has no experts.
  static std::uint64_t source_bytes(const Model& model, int index);
  /// Bytes that a batch of `rows` rows needs beside what every MLP needs.
  static std::uint64_t workspace_bytes(const ModelConfig& config, std::int64_t rows);

 private:
  // A gated MLP: gate and input projections stacked, then the output projection.
  struct Expert {
    ops::PackedMatrix in, out;
    std::vector<float> in_bias, out_bias;
  };

  Expert pack_expert(const std::string& name, Threads& threads) const;
  const Expert& expert(std::int64_t number, Threads& threads) const;
  FloatMatrix apply(const Expert& expert, ExpertKind kind, ConstFloatMatrix x, Workspace& workspace,
                    Threads& threads) const;
  void add_expert(std::int64_t number, ConstFloatMatrix x, ConstFloatMatrix routing,
                  FloatMatrix out, Workspace& workspace, Threads& threads) const;
  void add_shared(ConstFloatMatrix x, FloatMatrix out, Workspace& workspace,
                  Threads& threads) const;
  std::string prefix(std::int64_t number) const;

  Model model_;
  const ModelConfig* config_;
  int index_;
  ops::Precision precision_;
  ops::PackedMatrix router_, shared_gate_;
  std::vector<float> router_bias_;
  Expert shared_;
  mutable std::mutex packing_;
  mutable std::vector<std::unique_ptr<const Expert>> experts_;
};

}  // namespace massact
