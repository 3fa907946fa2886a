// Who writes a scalar of the residual stream: per block its attention and MLP, of the blocks that
// matter the neurons, heads and source tokens.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "massact/observe/weight_lines.h"
#include "massact/run/plan.h"

namespace massact::observe {

/// A scalar that is followed through the layers.
struct OriginTarget {
  std::int64_t sequence = 0;  ///< of the plan
  std::int64_t position = 0;  ///< the sink token's row included
  std::int64_t dimension = 0;
  double reference =
      0.0;  ///< its value where it is massive; what is small beside it needs no detail
};

/// One input of a gate or up projection.
struct InputTerm {
  std::int64_t dimension = 0;
  double value = 0.0, weight = 0.0;
};

/// A neuron's inputs, where they were looked at.
struct NeuronInputs {
  std::int64_t neuron = 0;
  std::vector<InputTerm> gate, up;  ///< largest |value · weight| first; `up` empty without a gate
};

/// The MLP's write, neuron by neuron. [f] each.
struct MlpDetail {
  std::vector<float> value, weight, gate, up;  ///< `up` empty if the MLP is not gated
  double bias = 0.0;
  double scale = 1.0;                ///< what a norm behind the MLP multiplies every term with
  double closure = 0.0;              ///< |write − Σ terms| / largest |term|
  std::vector<NeuronInputs> inputs;  ///< of the neurons that write most

  double contribution(std::size_t neuron) const {
    return scale * static_cast<double>(value[neuron]) * static_cast<double>(weight[neuron]);
  }
};

/// Attention's write, head by head.
struct HeadsDetail {
  struct Head {
    double contribution = 0.0;
    std::vector<double> sources;  ///< by source position: [position + 1], of images [T]
    double slot = 0.0;            ///< the part of the slot (or of a value bias)
  };
  std::vector<Head> heads;
  double bias = 0.0;
  double scale = 1.0;           ///< as in MlpDetail
  double closure = 0.0;         ///< of the heads
  double source_closure = 0.0;  ///< of the sources, the worst head
};

/// What one block does to one target: after = before + attention + mlp.
struct OriginStep {
  double before = 0.0, attention = 0.0, mlp = 0.0, after = 0.0;
  double closure = 0.0;
  std::unique_ptr<MlpDetail> mlp_detail;  ///< of writes that matter
  std::unique_ptr<HeadsDetail> heads_detail;
};

/// Bytes that Origin keeps of so many targets in texts of so many rows together, the longest of
/// `longest`. How many writes matter is known afterwards only: counted are those of four blocks.
std::uint64_t origin_bytes(const ModelConfig& config, std::int64_t targets, std::int64_t rows,
                           std::int64_t longest);

/// Follows its targets in stream 0, through all blocks.
class Origin final : public Observer {
 public:
  /// Watches everything it needs in `plan`, which owns it.
  static const Origin& attach(Plan& plan, std::vector<OriginTarget> targets);

  void observe(const SiteView& view, Threads& threads) override;

  const std::vector<OriginTarget>& targets() const { return shared_->targets; }
  /// By target, then by block.
  const std::vector<std::vector<OriginStep>>& steps() const { return steps_; }

  /// Why there is no detail of MLPs (heads), or "".
  const std::string& mlp_reason() const { return mlp_reason_; }

 private:
  // What is kept of one sequence in the current block, until its last site: its targets' rows by
  // site and position, whole queries, keys and values, and the targets' attention by position and
  // head.
  struct Rows {
    std::map<SiteKind, std::map<std::int64_t, std::vector<float>>> at;
    std::vector<float> queries, keys, values;
    std::map<std::int64_t, std::map<std::int64_t, std::vector<float>>> pattern;
  };
  struct Shared {
    std::vector<OriginTarget> targets;
    std::map<std::int64_t, std::vector<std::size_t>> by_sequence;  // numbers of targets
    std::map<std::int64_t, Rows> rows;                             // by sequence
  };
  class Patterns;  // computes the targets' rows of attention

  Origin(const Model& model, std::shared_ptr<Shared> shared);
  void finish(int block, std::int64_t sequence);
  void detail_mlp(int block, const OriginTarget& target, const Rows& rows, OriginStep& step);
  void detail_inputs(int block, const OriginTarget& target, const Rows& rows, MlpDetail& detail);
  void detail_heads(int block, const OriginTarget& target, const Rows& rows, OriginStep& step);
  const float* row_of(const Rows& rows, SiteKind kind, std::int64_t position) const;
  // What may scale a branch's output, by name within a block.
  struct BranchEnd {
    const char* layer_scale;
    const char* norm;
    SiteKind norm_scale;
  };
  double branch_scale(int block, const BranchEnd& end, const OriginTarget& target,
                      const Rows& rows) const;

  std::shared_ptr<Shared> shared_;
  std::vector<std::vector<OriginStep>> steps_;
  WeightLines lines_;
  std::string mlp_reason_;
};

}  // namespace massact::observe
