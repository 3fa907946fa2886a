#include "massact/model/patch_attention.h"

#include <limits>
#include <string>

#include "massact/ops/grid_attention.h"

namespace massact {
namespace {

// By row of the batch: each patch's row (column) in its window, or in the grid.
std::vector<std::int64_t> places(std::span<const ops::RowRange> sequences, std::int64_t rows,
                                 std::int64_t columns, std::int64_t window, bool of_rows) {
  std::vector<std::int64_t> own(static_cast<std::size_t>(rows), 0);
  for (const ops::RowRange& sequence : sequences) {
    for (std::int64_t i = 0; i < sequence.count; ++i) {
      const std::int64_t place = of_rows ? i / columns : i % columns;
      own[static_cast<std::size_t>(sequence.first + i)] = window > 0 ? place % window : place;
    }
  }
  return own;
}

}  // namespace

PatchAttention PatchAttention::read(const ModelConfig& config, const BoundWeights& weights,
                                    int block, std::span<const float> qkv_bias) {
  PatchAttention patches;
  const VisionConfig& vision = config.vision;
  if (!vision.has_windows() && !vision.relative_positions) return patches;
  patches.grid_ = vision.trained_grid();
  patches.window_ = vision.window_of(block);
  patches.has_slot_ = vision.has_windows();
  if (vision.relative_positions) {
    const std::string name = "blocks." + std::to_string(block) + ".attn.";
    patches.row_table_ = weights.vector(name + "rel_rows");
    patches.column_table_ = weights.vector(name + "rel_columns");
  }
  if (!qkv_bias.empty()) {
    const auto kv = static_cast<std::size_t>(config.kv_heads * config.head_size);
    const auto part = [&](std::size_t from_end) {
      const auto values = qkv_bias.subspan(qkv_bias.size() - from_end * kv, kv);
      return std::vector<float>(values.begin(), values.end());
    };
    patches.padding_key_ = part(2);
    patches.padding_value_ = part(1);
  }
  patches.no_padding_.assign(static_cast<std::size_t>(config.heads),
                             -std::numeric_limits<float>::infinity());
  return patches;
}

void PatchAttention::prepare(ConstFloatMatrix q, std::span<const ops::RowRange> sequences,
                             ops::AttentionOptions& options, Workspace& workspace,
                             Threads& threads) const {
  if (grid_.count() == 0) return;
  options.grid.columns = grid_.columns;
  options.grid.window = window_;
  if (!row_table_.empty()) add_biases(q, sequences, options, workspace, threads);
  if (!has_slot_) return;
  options.slot_value = padding_value_;
  if (window_ == 0) {
    options.slot_logit = no_padding_;
    return;
  }
  const FloatMatrix logits = Workspace::take(workspace.slot_logits, q.rows, options.heads);
  ops::padding_logits(q, sequences, options, padding_key_, logits, threads);
  options.slot_logits = logits;
}

void PatchAttention::add_biases(ConstFloatMatrix q, std::span<const ops::RowRange> sequences,
                                ops::AttentionOptions& options, Workspace& workspace,
                                Threads& threads) const {
  const auto bias = [&](const std::vector<float>& table, std::int64_t side, bool of_rows,
                        Buffer<float>& buffer) {
    const std::int64_t n = window_ > 0 ? window_ : side;
    const FloatMatrix values = Workspace::take(buffer, q.rows, options.heads * n);
    ops::relative_bias(q, options.heads, {table, n},
                       places(sequences, q.rows, grid_.columns, window_, of_rows), values, threads);
    return values;
  };
  options.grid.row_bias = bias(row_table_, grid_.rows, true, workspace.row_bias);
  options.grid.column_bias = bias(column_table_, grid_.columns, false, workspace.column_bias);
}

}  // namespace massact
