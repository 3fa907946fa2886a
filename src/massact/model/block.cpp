#include "massact/model/block.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "massact/base/error.h"
#include "massact/model/attention_maps.h"
#include "massact/model/moe.h"
#include "massact/model/pack_weights.h"
#include "massact/ops/activation.h"
#include "massact/ops/elementwise.h"

namespace massact {
namespace {

constexpr WeightStack kQkv = {"attn.W_Q", "attn.W_K", "attn.W_V"};
constexpr WeightStack kAttentionOut = {"attn.W_O"};
constexpr WeightStack kGatedMlpIn = {"mlp.W_gate", "mlp.W_in"};
constexpr WeightStack kMlpIn = {"mlp.W_in"};
constexpr WeightStack kMlpOut = {"mlp.W_out"};

std::vector<float> concatenate(const BoundWeights& weights, const std::string& block,
                               std::initializer_list<const char*> names) {
  std::vector<float> all;
  for (const char* name : names) {
    const auto part = weights.vector(block + name);
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

void add_to(std::vector<float>& target, const std::vector<float>& values) {
  if (target.empty()) target.assign(values.size(), 0.0f);
  for (std::size_t i = 0; i < values.size(); ++i) target[i] += values[i];
}

// The projections' own biases plus the learned ones of the qk-bias and qkv-bias variants.
std::vector<float> qkv_bias(const ModelConfig& config, const BoundWeights& weights,
                            const std::string& block) {
  std::vector<float> bias;
  const auto add = [&](std::array<const char*, 3> names) {
    std::vector<float> all;
    bool any = false;
    for (std::size_t part = 0; part < names.size(); ++part) {
      auto values = weights.vector(block + names[part]);
      any |= !values.empty();
      // Some have none for the keys (DINOv3) or the values (the qk-bias variant).
      const std::int64_t heads = part == 0 ? config.heads : config.kv_heads;
      values.resize(static_cast<std::size_t>(heads * config.head_size), 0.0f);
      all.insert(all.end(), values.begin(), values.end());
    }
    if (any) add_to(bias, all);
  };
  add({"attn.b_Q", "attn.b_K", "attn.b_V"});
  add({"attn.q_bias", "attn.k_bias", "attn.v_bias"});
  return bias;
}

// A norm on queries or keys: one set of weights, or one per head, which become [heads * c].
NormWeights read_head_norms(const ModelConfig& config, const BoundWeights& weights,
                            const std::string& canonical, std::int64_t heads) {
  if (config.qk_norm != QkNorm::each_head) return NormWeights::read(weights, canonical);
  NormWeights all;
  for (std::int64_t head = 0; head < heads; ++head) {
    const auto one = NormWeights::read(weights, canonical + "." + std::to_string(head));
    all.weight.insert(all.weight.end(), one.weight.begin(), one.weight.end());
    all.bias.insert(all.bias.end(), one.bias.begin(), one.bias.end());
  }
  return all;
}

}  // namespace

// What a product reads: rows as they are, or normalised on the way in.
struct Block::Input {
  ConstFloatMatrix x;
  std::optional<ops::NormOptions> norm;
};

struct Block::Call {
  std::span<const ops::RowRange> sequences;
  const RopeTables& rope;
  SiteVisitor& sites;
  Workspace& workspace;
  Threads& threads;

  void visit(SiteKind kind, FloatMatrix values) const {
    if (sites.wants(kind)) sites.visit(kind, values);
  }

  void multiply(const Input& input, const ops::PackedMatrix& w, FloatMatrix y,
                ops::MatmulOptions options) const {
    options.norm = input.norm ? &*input.norm : nullptr;
    workspace.times.measure(Stage::matmul, [&] { ops::matmul(input.x, w, y, options, threads); });
  }

  // f(x · wᵀ + bias), into `buffer`.
  FloatMatrix project(const Input& input, const ops::PackedMatrix& w,
                      const std::vector<float>& bias, Buffer<float>& buffer,
                      std::optional<ops::Activation> f = {}) const {
    const FloatMatrix y = Workspace::take(buffer, input.x.rows, w.n());
    multiply(input, w, y, {.bias = bias, .activation = f});
    return y;
  }

  // The norm's output, as its product wants it: where nobody looks, the product normalises on the
  // way and the output is never stored.
  Input normalise(const ModelConfig& config, const NormWeights& weights, SiteKind scale_site,
                  ConstFloatMatrix hidden) const {
    if (!wants_norm(sites, scale_site)) return {hidden, weights.options(config)};
    const FloatMatrix normed = Workspace::take(workspace.normed, hidden.rows, hidden.cols);
    run_norm(config, weights, scale_site, hidden, normed, sites, workspace, threads);
    return {normed, {}};
  }

  // What a product would read, in memory: experts gather rows of it.
  ConstFloatMatrix stored(const Input& input) const {
    if (!input.norm) return input.x;
    const FloatMatrix normed = Workspace::take(workspace.normed, input.x.rows, input.x.cols);
    ops::norm(input.x, *input.norm, {.out = normed}, threads);
    return normed;
  }

  // What lies between a branch's product and the stream: LayerScale's factors (or none) and a norm
  // (or null).
  struct BranchEnd {
    const ModelConfig& config;
    std::span<const float> layer_scale;
    const NormWeights* norm;
    SiteKind scale_site;  // the norm's
  };

  // hidden += norm(scale * (x · wᵀ + bias)): what a branch writes to the residual stream. Stored by
  // itself only where somebody looks at it or it is normalised.
  void write(ConstFloatMatrix x, const ops::PackedMatrix& w, const std::vector<float>& bias,
             const BranchEnd& end, SiteKind site, FloatMatrix hidden) const {
    if (end.norm == nullptr && !sites.wants(site)) {
      multiply({x, {}}, w, hidden, {.bias = bias, .scale = end.layer_scale, .residual = hidden});
      return;
    }
    const FloatMatrix branch = Workspace::take(workspace.out, x.rows, w.n());
    multiply({x, {}}, w, branch, {.bias = bias, .scale = end.layer_scale});
    add(branch, end, site, hidden);
  }

  // hidden += norm(branch)
  void add(FloatMatrix branch, const BranchEnd& end, SiteKind site, FloatMatrix hidden) const {
    if (end.norm != nullptr) {
      const FloatMatrix normed = Workspace::take(workspace.normed, branch.rows, branch.cols);
      run_norm(end.config, *end.norm, end.scale_site, branch, normed, sites, workspace, threads);
      branch = normed;
    }
    visit(site, branch);
    ops::add(hidden, branch, hidden, threads);
  }
};

Block Block::pack(const Model& model, int index, ops::Precision precision, Threads& threads) {
  Block block(model);
  const ModelConfig& config = model.config();
  const BoundWeights& weights = model.weights();
  const std::string name = "blocks." + std::to_string(index) + ".";
  const auto pack = [&](WeightStack names) {
    return pack_weights(weights, name, names, precision, threads);
  };
  block.index_ = index;
  block.ln1_ = NormWeights::read(weights, name + "ln1");
  block.ln1_post_ = NormWeights::read(weights, name + "ln1_post");
  block.ln2_ = NormWeights::read(weights, name + "ln2");
  block.ln2_post_ = NormWeights::read(weights, name + "ln2_post");
  block.q_norm_ = read_head_norms(config, weights, name + "attn.q_norm", config.heads);
  block.k_norm_ = read_head_norms(config, weights, name + "attn.k_norm", config.kv_heads);
  block.qkv_ = pack(kQkv);
  block.attn_out_ = pack(kAttentionOut);
  if (config.moe.in_block(index)) {
    require(config.order == BlockOrder::sequential, config.name,
            "expected experts in sequential blocks only, got a parallel one");
    block.moe_ = std::make_shared<const MoeMlp>(model, index, precision, threads);
  } else {
    block.mlp_in_ = pack(config.gated_mlp ? kGatedMlpIn : kMlpIn);
    block.mlp_out_ = pack(kMlpOut);
  }
  block.qkv_bias_ = qkv_bias(config, weights, name);
  block.attn_out_bias_ = weights.vector(name + "attn.b_O");
  block.attn_scale_ = weights.vector(name + "attn.layer_scale");
  block.mlp_scale_ = weights.vector(name + "mlp.layer_scale");
  block.mlp_in_bias_ = concatenate(weights, name, {"mlp.b_gate", "mlp.b_in"});
  block.mlp_out_bias_ = weights.vector(name + "mlp.b_out");
  block.slot_key_ = weights.vector(name + "attn.eab_k");
  block.slot_logit_ = weights.vector(name + "attn.sinks");
  if (config.variant == AttentionVariant::v_bias) {
    block.value_bias_ = weights.vector(name + "attn.eab_v");
  } else {
    block.slot_value_ = weights.vector(name + "attn.eab_v");
  }
  if (config.variant == AttentionVariant::softmax_off_by_one) {
    block.slot_logit_.assign(static_cast<std::size_t>(config.heads), 0.0f);
  }
  block.patches_ = PatchAttention::read(config, weights, index, block.qkv_bias_);
  if (config.variant == AttentionVariant::gated) {
    // A few rows of output: kept in f32, it costs nothing.
    block.head_gate_ = pack_weights(weights, name, {"attn.W_gate"}, ops::Precision::f32, threads);
  }
  return block;
}

std::uint64_t Block::packed_bytes(const ModelConfig& config, ops::Precision precision) {
  const std::int64_t heads = 2 * (config.heads + config.kv_heads) * config.head_size;
  const std::int64_t bytes = ops::bytes_of(precision);
  const auto attention = static_cast<std::uint64_t>(config.width * heads * bytes);
  const auto mlp = static_cast<std::uint64_t>(config.width * config.mlp_size *
                                              (config.gated_mlp ? 3 : 2) * bytes);
  if (config.moe.experts == 0) return attention + mlp;
  const std::uint64_t router = MoeMlp::base_bytes(config, precision);
  return attention + (config.moe.is_mixed() ? std::max(mlp, router) : router);
}

std::uint64_t Block::source_bytes(const Model& model, int index) {
  const std::string name = "blocks." + std::to_string(index) + ".";
  std::uint64_t largest = MoeMlp::source_bytes(model, index);
  for (const WeightStack names : {kQkv, kAttentionOut, kGatedMlpIn, kMlpOut}) {
    largest = std::max(largest, packing_bytes(model.weights(), name, names));
  }
  return largest;
}

ops::AttentionOptions Block::attention_options() const {
  const ModelConfig& config = *config_;
  ops::AttentionOptions options;
  options.heads = config.heads;
  options.kv_heads = config.kv_heads;
  options.head_size = config.head_size;
  options.scale = config.attention_scale;
  options.precision = ops::unquantised(qkv_.precision());
  if (config.scale_by_inverse_layer) options.scale /= static_cast<float>(index_ + 1);
  options.causal = config.causal;
  options.window = config.windows[static_cast<std::size_t>(index_)];
  options.soft_cap = config.attention_soft_cap;
  options.alibi_slopes = config.alibi.slopes;
  options.alibi_factor = config.alibi.factor;
  options.alibi_in_bf16 = config.alibi.in_bf16;
  if (config.variant == AttentionVariant::sigmoid) options.kind = ops::AttentionKind::sigmoid;
  options.slot_key = slot_key_;
  options.slot_value = slot_value_;
  options.slot_logit = slot_logit_;
  options.clip_gamma = config.clip_gamma;
  options.clip_eta = config.clip_eta;
  return options;
}

void Block::run(FloatMatrix hidden, std::span<const ops::RowRange> sequences,
                const RopeTables& rope, SiteVisitor& sites, Workspace& workspace,
                Threads& threads) const {
  const Call call{sequences, rope, sites, workspace, threads};
  call.visit(SiteKind::resid_pre, hidden);
  if (config_->order == BlockOrder::sequential) {
    run_sequential(hidden, call);
  } else {
    run_parallel(hidden, call);
  }
  call.visit(SiteKind::resid_post, hidden);
}

void Block::run_sequential(FloatMatrix hidden, const Call& call) const {
  const bool before = config_->norm_placement == NormPlacement::before ||
                      config_->norm_placement == NormPlacement::around;
  const bool after_sum = config_->norm_placement == NormPlacement::after_sum;
  const auto input = [&](const NormWeights& norm, SiteKind scale_site) {
    return before ? call.normalise(*config_, norm, scale_site, hidden) : Input{hidden, {}};
  };
  write_attention(attend(input(ln1_, SiteKind::ln1_scale), call), hidden, call);
  call.visit(SiteKind::resid_mid, hidden);
  if (after_sum) normalise_stream(ln1_, SiteKind::ln1_scale, hidden, call);
  write_mlp(transform(input(ln2_, SiteKind::ln2_scale), call), hidden, call);
  if (after_sum) normalise_stream(ln2_, SiteKind::ln2_scale, hidden, call);
}

// Both branches are computed before either is written: they read the same stream.
void Block::run_parallel(FloatMatrix hidden, const Call& call) const {
  Input normed = call.normalise(*config_, ln1_, SiteKind::ln1_scale, hidden);
  const FloatMatrix z = attend(normed, call);
  if (config_->order == BlockOrder::parallel) {
    normed = call.normalise(*config_, ln2_, SiteKind::ln2_scale, hidden);
  }
  const FloatMatrix post = transform(normed, call);
  write_attention(z, hidden, call);
  write_mlp(post, hidden, call);
}

void Block::normalise_stream(const NormWeights& norm, SiteKind scale_site, FloatMatrix hidden,
                             const Call& call) const {
  const FloatMatrix normed = Workspace::take(call.workspace.normed, hidden.rows, hidden.cols);
  run_norm(*config_, norm, scale_site, hidden, normed, call.sites, call.workspace, call.threads);
  ops::copy(normed, hidden, call.threads);
}

void Block::write_attention(ConstFloatMatrix z, FloatMatrix hidden, const Call& call) const {
  const NormWeights* norm = config_->has_branch_norms() ? &ln1_post_ : nullptr;
  call.write(z, attn_out_, attn_out_bias_, {*config_, attn_scale_, norm, SiteKind::ln1_post_scale},
             SiteKind::attn_out, hidden);
}

void Block::write_mlp(FloatMatrix post, FloatMatrix hidden, const Call& call) const {
  const NormWeights* weights = config_->has_branch_norms() ? &ln2_post_ : nullptr;
  const Call::BranchEnd end = {*config_, mlp_scale_, weights, SiteKind::ln2_post_scale};
  if (moe_) return call.add(post, end, SiteKind::mlp_out, hidden);
  call.write(post, mlp_out_, mlp_out_bias_, end, SiteKind::mlp_out, hidden);
}

// A norm over each head's dimensions, or over all of them at once.
void Block::normalise_heads(FloatMatrix x, const NormWeights& norm, std::int64_t heads,
                            const Call& call) const {
  ops::NormOptions options = norm.options(*config_);
  const auto norm_in_place = [&](FloatMatrix part) {
    ops::NormOutputs outputs;
    outputs.out = part;
    ops::norm(part, options, outputs, call.threads);
  };
  if (config_->qk_norm == QkNorm::whole) return norm_in_place(x);
  const std::int64_t c = config_->head_size;
  for (std::int64_t head = 0; head < heads; ++head) {
    if (config_->qk_norm == QkNorm::each_head) {
      const auto of_head = [&](const std::vector<float>& all) {
        return all.empty() ? std::span<const float>()
                           : std::span(all).subspan(static_cast<std::size_t>(head * c),
                                                    static_cast<std::size_t>(c));
      };
      options.weight = of_head(norm.weight);
      options.bias = of_head(norm.bias);
    }
    norm_in_place(x.slice_cols(head * c, c));
  }
}

void Block::rotate(FloatMatrix q, FloatMatrix k, const Call& call) const {
  const ModelConfig& config = *config_;
  const bool local = config.windows[static_cast<std::size_t>(index_)] > 0;
  const ops::RopeStyle style = config.rope_of(index_).style;
  // Several sequences: one task each, the inner loops then run in that task.
  call.threads.parallel_for(
      static_cast<std::int64_t>(call.sequences.size()), [&](std::int64_t s, int) {
        const auto& rows = call.sequences[static_cast<std::size_t>(s)];
        const auto& table = call.rope.for_length(rows.count, local);
        for (const auto& [x, heads] : {std::pair{q, config.heads}, {k, config.kv_heads}}) {
          ops::rope(x.slice_rows(rows.first, rows.count), heads, config.head_size, table, style, 0,
                    call.threads);
        }
      });
}

// The heads' outputs z.
FloatMatrix Block::attend(const Input& normed, const Call& call) const {
  const ModelConfig& config = *config_;
  Workspace& workspace = call.workspace;
  Threads& threads = call.threads;
  const std::int64_t q_size = config.heads * config.head_size;
  const std::int64_t kv_size = config.kv_heads * config.head_size;

  const FloatMatrix qkv = call.project(normed, qkv_, qkv_bias_, workspace.qkv);
  const FloatMatrix q = qkv.slice_cols(0, q_size);
  const FloatMatrix k = qkv.slice_cols(q_size, kv_size);
  const FloatMatrix v = qkv.slice_cols(q_size + kv_size, kv_size);
  if (config.clip_qkv > 0) ops::clamp(qkv, config.clip_qkv, threads);
  if (config.qk_norm != QkNorm::none) {
    normalise_heads(q, q_norm_, config.heads, call);
    normalise_heads(k, k_norm_, config.kv_heads, call);
  }
  call.visit(SiteKind::q, q);
  call.visit(SiteKind::k, k);
  call.visit(SiteKind::v, v);
  if (config.positions == PositionKind::rotary) {
    rotate(q, k, call);
    call.visit(SiteKind::rot_q, q);
    call.visit(SiteKind::rot_k, k);
  }

  const FloatMatrix z = Workspace::take(workspace.z, normed.x.rows, q_size);
  ops::AttentionOptions options = attention_options();
  workspace.times.measure(
      Stage::attention, [&] { patches_.prepare(q, call.sequences, options, workspace, threads); });
  const bool summed = call.sites.wants_attention(workspace.sums);
  if (call.sites.wants(SiteKind::attn_scores) || call.sites.wants(SiteKind::pattern)) {
    attend_by_maps(q, k, v, call.sequences, options, z, call.sites, workspace, threads);
  } else {
    workspace.times.measure(Stage::attention, [&] {
      if (summed) {
        ops::attention(q, k, v, call.sequences, options, z, workspace.sums, threads);
      } else {
        ops::attention(q, k, v, call.sequences, options, z, threads);
      }
    });
  }
  const FloatMatrix chosen = summed ? workspace.sums.output(options) : FloatMatrix{};
  finish_heads(normed, z, chosen, call);
  if (summed) call.sites.visit_attention(options, workspace.sums, z);
  call.visit(SiteKind::z, z);
  return z;
}

// What variants do to a head's output before the output projection: add v′, multiply by a gate.
// `chosen` is the part of z that comes from the watched keys, or empty.
void Block::finish_heads(const Input& normed, FloatMatrix z, FloatMatrix chosen,
                         const Call& call) const {
  const std::int64_t c = config_->head_size;
  const std::int64_t shared = config_->heads / config_->kv_heads;
  if (!value_bias_.empty()) {
    std::vector<float> bias(static_cast<std::size_t>(z.cols));
    for (std::int64_t i = 0; i < z.cols; ++i) {
      bias[static_cast<std::size_t>(i)] =
          value_bias_[static_cast<std::size_t>(i / c / shared * c + i % c)];
    }
    ops::add_bias(z, bias, call.threads);
  }
  if (head_gate_) {
    const FloatMatrix gates = call.project(normed, head_gate_, {}, call.workspace.gates);
    call.threads.parallel_for(z.rows, [&](std::int64_t r, int) {
      for (std::int64_t i = 0; i < z.cols; ++i) {
        const float divisor = 1.0f + std::exp(-gates(r, i / c));
        z(r, i) /= divisor;
        if (chosen.rows > 0) chosen(r, i) /= divisor;
      }
    });
  }
}

// The MLP's hidden layer after its activation; with experts, all that the MLP computes.
FloatMatrix Block::transform(const Input& normed, const Call& call) const {
  if (moe_) return moe_->run(call.stored(normed), call.sites, call.workspace, call.threads);
  const ModelConfig& config = *config_;
  const std::int64_t f = config.mlp_size;
  Buffer<float>& buffer = call.workspace.mlp;
  if (!config.gated_mlp && !call.sites.wants(SiteKind::mlp_pre)) {
    const FloatMatrix post = call.project(normed, mlp_in_, mlp_in_bias_, buffer, config.activation);
    call.visit(SiteKind::mlp_post, post);
    return post;
  }
  const FloatMatrix pre = call.project(normed, mlp_in_, mlp_in_bias_, buffer);
  const FloatMatrix gate = pre.slice_cols(0, f);
  call.visit(SiteKind::mlp_pre, gate);
  if (config.gated_mlp) {
    const FloatMatrix up = pre.slice_cols(f, f);
    call.visit(SiteKind::mlp_pre_linear, up);
    ops::activate_gated(gate, up, config.activation, gate, call.threads);
  } else {
    ops::activate(gate, config.activation, gate, call.threads);
  }
  call.visit(SiteKind::mlp_post, gate);
  return gate;
}

}  // namespace massact
