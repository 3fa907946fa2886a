#include "massact/model/moe.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "massact/model/block.h"
#include "massact/model/pack_weights.h"
#include "massact/ops/activation.h"
#include "massact/ops/elementwise.h"

namespace massact {
namespace {

// The `count` largest of a row, by value and then by place.
std::vector<std::int64_t> largest(const float* row, std::int64_t size, std::int64_t count) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(size));
  std::iota(order.begin(), order.end(), 0);
  std::partial_sort(order.begin(), order.begin() + count, order.end(),
                    [&](std::int64_t a, std::int64_t b) {
                      return row[a] > row[b] || (row[a] == row[b] && a < b);
                    });
  order.resize(static_cast<std::size_t>(count));
  return order;
}

// Probabilities of the entries of `row` that `among` names; all others become zero.
void softmax_among(const std::vector<std::int64_t>& among, float* row, std::int64_t size) {
  float most = row[among.front()];
  for (const std::int64_t e : among) most = std::max(most, row[e]);
  std::vector<float> weights;
  double sum = 0;
  for (const std::int64_t e : among) {
    weights.push_back(std::exp(row[e] - most));
    sum += weights.back();
  }
  std::fill_n(row, size, 0.0f);
  for (std::size_t i = 0; i < among.size(); ++i) {
    row[among[i]] = static_cast<float>(weights[i] / sum);
  }
}

void route_row(const MoeConfig& config, float* row) {
  const auto chosen = largest(row, config.experts, config.per_token);
  if (config.router == RouterKind::choose_then_softmax || config.normalised) {
    // Probabilities of all experts divided by the sum of the chosen are those among the chosen.
    return softmax_among(chosen, row, config.experts);
  }
  std::vector<std::int64_t> all(static_cast<std::size_t>(config.experts));
  std::iota(all.begin(), all.end(), 0);
  softmax_among(all, row, config.experts);
  std::vector<float> kept;
  for (const std::int64_t e : chosen) kept.push_back(row[e]);
  std::fill_n(row, config.experts, 0.0f);
  for (std::size_t i = 0; i < chosen.size(); ++i) row[chosen[i]] = kept[i];
}

// gate = (clamp(up) + 1) · g · sigmoid(alpha · g), g = min(gate, limit).
void clamped_swiglu(const MoeConfig& config, FloatMatrix gate, FloatMatrix up, Threads& threads) {
  const float limit = config.swiglu_limit, alpha = config.swiglu_alpha;
  threads.parallel_for(gate.rows, [&](std::int64_t r, int) {
    for (std::int64_t i = 0; i < gate.cols; ++i) {
      const float g = std::min(gate(r, i), limit);
      const float u = std::clamp(up(r, i), -limit, limit);
      gate(r, i) = (u + 1.0f) * g / (1.0f + std::exp(-alpha * g));
    }
  });
}

}  // namespace

void route(const MoeConfig& config, FloatMatrix logits, Threads& threads) {
  threads.parallel_for(logits.rows, [&](std::int64_t r, int) { route_row(config, logits.row(r)); });
}

MoeMlp::MoeMlp(const Model& model, int index, ops::Precision precision, Threads& threads)
    : model_(model),
      config_(&model.config()),
      index_(index),
      precision_(precision),
      experts_(static_cast<std::size_t>(model.config().moe.experts)) {
  const BoundWeights& weights = model.weights();
  const std::string block = "blocks." + std::to_string(index) + ".mlp.";
  // A choice between experts is not to depend on the precision of the products: f32, a few rows.
  router_ = pack_weights(weights, block, {"W_router"}, ops::Precision::f32, threads);
  router_bias_ = weights.vector(block + "b_router");
  if (config_->moe.shared_size > 0) {
    shared_ = pack_expert(block + "shared.", threads);
    shared_gate_ = pack_weights(weights, block, {"shared.W_sigmoid"}, ops::Precision::f32, threads);
  }
}

// Outside of "blocks.N.": what is read ahead with a block does not include its experts.
std::string MoeMlp::prefix(std::int64_t number) const {
  return "experts." + std::to_string(index_) + "." + std::to_string(number) + ".";
}

MoeMlp::Expert MoeMlp::pack_expert(const std::string& name, Threads& threads) const {
  const BoundWeights& weights = model_.weights();
  Expert expert;
  expert.in = pack_weights(weights, name, {"W_gate", "W_in"}, precision_, threads);
  expert.out = pack_weights(weights, name, {"W_out"}, precision_, threads);
  expert.in_bias = weights.vector(name + "b_gate");
  const auto up = weights.vector(name + "b_in");
  expert.in_bias.insert(expert.in_bias.end(), up.begin(), up.end());
  expert.out_bias = weights.vector(name + "b_out");
  return expert;
}

const MoeMlp::Expert& MoeMlp::expert(std::int64_t number, Threads& threads) const {
  const std::scoped_lock lock(packing_);
  auto& slot = experts_[static_cast<std::size_t>(number)];
  if (!slot) {
    slot = std::make_unique<const Expert>(pack_expert(prefix(number), threads));
    model_.weights().release(prefix(number));
  }
  return *slot;
}

// Output projection of the gated MLP, in the workspace's `expert_out`.
FloatMatrix MoeMlp::apply(const Expert& expert, ExpertKind kind, ConstFloatMatrix x,
                          Workspace& workspace, Threads& threads) const {
  const FloatMatrix pre = Workspace::take(workspace.mlp, x.rows, expert.in.n());
  const std::int64_t f = expert.in.n() / 2;
  const FloatMatrix gate = pre.slice_cols(0, f), up = pre.slice_cols(f, f);
  const FloatMatrix out = Workspace::take(workspace.expert_out, x.rows, expert.out.n());
  workspace.times.measure(Stage::matmul, [&] { ops::matmul(x, expert.in, pre, threads); });
  ops::add_bias(pre, expert.in_bias, threads);
  if (kind == ExpertKind::clamped_swiglu) {
    clamped_swiglu(config_->moe, gate, up, threads);
  } else {
    ops::activate_gated(gate, up, config_->activation, gate, threads);
  }
  workspace.times.measure(Stage::matmul, [&] { ops::matmul(gate, expert.out, out, threads); });
  ops::add_bias(out, expert.out_bias, threads);
  return out;
}

// Only the rows that the router sent to this expert are computed; without any, it is never read.
void MoeMlp::add_expert(std::int64_t number, ConstFloatMatrix x, ConstFloatMatrix routing,
                        FloatMatrix out, Workspace& workspace, Threads& threads) const {
  std::vector<std::int64_t> sent;
  for (std::int64_t r = 0; r < x.rows; ++r) {
    if (routing(r, number) != 0.0f) sent.push_back(r);
  }
  if (sent.empty()) return;
  const auto count = static_cast<std::int64_t>(sent.size());
  const FloatMatrix rows = Workspace::take(workspace.expert_in, count, x.cols);
  threads.parallel_for(count, [&](std::int64_t i, int) {
    std::copy_n(x.row(sent[static_cast<std::size_t>(i)]), x.cols, rows.row(i));
  });
  const FloatMatrix y = apply(expert(number, threads), config_->moe.kind, rows, workspace, threads);
  threads.parallel_for(count, [&](std::int64_t i, int) {
    const std::int64_t r = sent[static_cast<std::size_t>(i)];
    const float weight = routing(r, number);
    for (std::int64_t c = 0; c < out.cols; ++c) out(r, c) += weight * y(i, c);
  });
}

void MoeMlp::add_shared(ConstFloatMatrix x, FloatMatrix out, Workspace& workspace,
                        Threads& threads) const {
  const FloatMatrix y = apply(shared_, ExpertKind::gated, x, workspace, threads);
  const FloatMatrix gate = Workspace::take(workspace.expert_in, x.rows, 1);
  ops::matmul(x, shared_gate_, gate, threads);
  threads.parallel_for(x.rows, [&](std::int64_t r, int) {
    const float open = 1.0f / (1.0f + std::exp(-gate(r, 0)));
    for (std::int64_t c = 0; c < out.cols; ++c) out(r, c) += open * y(r, c);
  });
}

FloatMatrix MoeMlp::run(ConstFloatMatrix x, SiteVisitor& sites, Workspace& workspace,
                        Threads& threads) const {
  const MoeConfig& moe = config_->moe;
  const FloatMatrix routing = Workspace::take(workspace.gates, x.rows, moe.experts);
  ops::matmul(x, router_, routing, threads);
  ops::add_bias(routing, router_bias_, threads);
  route(moe, routing, threads);
  if (sites.wants(SiteKind::mlp_router)) sites.visit(SiteKind::mlp_router, routing);

  const FloatMatrix out = Workspace::take(workspace.out, x.rows, config_->width);
  threads.parallel_for(out.rows,
                       [&](std::int64_t r, int) { std::fill_n(out.row(r), out.cols, 0.0f); });
  for (std::int64_t e = 0; e < moe.experts; ++e) {
    add_expert(e, x, routing, out, workspace, threads);
  }
  if (shared_.in) add_shared(x, out, workspace, threads);
  return out;
}

std::uint64_t MoeMlp::base_bytes(const ModelConfig& config, ops::Precision precision) {
  const MoeConfig& moe = config.moe;
  const std::int64_t shared = 3 * moe.shared_size * ops::bytes_of(precision);
  return static_cast<std::uint64_t>(config.width * (4 * moe.experts + shared));
}

std::uint64_t MoeMlp::expert_bytes(const ModelConfig& config, ops::Precision precision) {
  return static_cast<std::uint64_t>(3 * config.width * config.moe.size * ops::bytes_of(precision));
}

std::uint64_t MoeMlp::source_bytes(const Model& model, int index) {
  const std::int64_t experts = model.config().moe.experts;
  if (experts == 0) return 0;
  const BoundWeights& weights = model.weights();
  const std::string block = "blocks." + std::to_string(index) + ".mlp.";
  const std::uint64_t routed = weights.stored_bytes("experts." + std::to_string(index) + ".");
  return std::max({packing_bytes(weights, block, {"W_router"}),
                   packing_bytes(weights, block, {"shared.W_gate", "shared.W_in"}),
                   routed / static_cast<std::uint64_t>(experts)});
}

std::uint64_t MoeMlp::workspace_bytes(const ModelConfig& config, std::int64_t rows) {
  // Rows gathered for an expert, its output, the routing weights.
  return static_cast<std::uint64_t>(4 * rows * (2 * config.width + config.moe.experts));
}

}  // namespace massact
