#include "massact/model/pooling.h"

#include <algorithm>

#include "massact/base/error.h"
#include "massact/model/pack_weights.h"
#include "massact/ops/attention.h"
#include "massact/ops/elementwise.h"

namespace massact {
namespace {

using Row = std::vector<float>;

FloatMatrix as_matrix(Row& row) { return {row.data(), 1, std::ssize(row)}; }
ConstFloatMatrix as_matrix(const Row& row) { return {row.data(), 1, std::ssize(row)}; }

// Behind `out`.
void append(ConstFloatMatrix rows, std::int64_t row, Row& out) {
  out.insert(out.end(), rows.row(row), rows.row(row) + rows.cols);
}

// Mean of rows [first, T), behind `out`.
void append_mean(ConstFloatMatrix rows, std::int64_t first, Row& out) {
  std::vector<double> sum(static_cast<std::size_t>(rows.cols), 0.0);
  for (std::int64_t r = first; r < rows.rows; ++r) {
    for (std::int64_t c = 0; c < rows.cols; ++c) {
      sum[static_cast<std::size_t>(c)] += static_cast<double>(rows(r, c));
    }
  }
  const auto count = static_cast<double>(rows.rows - first);
  for (const double value : sum) out.push_back(static_cast<float>(value / count));
}

// Position of the token that ends the text: the first `end_token`, or the largest id.
std::int64_t end_of_text(const HeadConfig& head, std::span<const std::int32_t> tokens) {
  const auto end = head.end_token < 0 ? std::max_element(tokens.begin(), tokens.end())
                                      : std::find(tokens.begin(), tokens.end(), head.end_token);
  // As HF: a text without its end is read at its start.
  return end == tokens.end() ? 0 : end - tokens.begin();
}

}  // namespace

Pooler::Pooler(const Model& model, ops::Precision precision, Threads& threads) : model_(model) {
  const BoundWeights& weights = model_.weights();
  norm_ = NormWeights::read(weights, "head.ln");
  if (model_.config().head.pooling != Pooling::attention) return;
  const auto pack = [&](std::initializer_list<const char*> names) {
    return pack_weights(weights, "head.", names, ops::unquantised(precision), threads);
  };
  probe_ = weights.vector("head.probe");
  q_ = pack({"W_Q"});
  kv_ = pack({"W_K", "W_V"});
  out_ = pack({"W_O"});
  mlp_in_ = pack({"W_in"});
  mlp_out_ = pack({"W_out"});
  q_bias_ = weights.vector("head.b_Q");
  kv_bias_ = weights.vector("head.b_K");
  const auto values = weights.vector("head.b_V");
  kv_bias_.insert(kv_bias_.end(), values.begin(), values.end());
  out_bias_ = weights.vector("head.b_O");
  mlp_in_bias_ = weights.vector("head.b_in");
  mlp_out_bias_ = weights.vector("head.b_out");
  mlp_norm_ = NormWeights::read(weights, "head.mlp_ln");
}

std::vector<float> Pooler::pool(ConstFloatMatrix normed, std::span<const std::int32_t> tokens,
                                Threads& threads) const {
  const ModelConfig& config = model_.config();
  Row result;
  switch (config.head.pooling) {
    case Pooling::every_token:
    case Pooling::patch_neighbours:
      fail(config.name, "expected a head that gives one row for a whole sequence");
    case Pooling::first_token:
      append(normed, 0, result);
      break;
    case Pooling::last_token:
      append(normed, normed.rows - 1, result);
      break;
    case Pooling::end_of_text:
      append(normed, end_of_text(config.head, tokens), result);
      break;
    case Pooling::patch_mean:
      append_mean(normed, config.vision.leading_tokens(), result);
      break;
    case Pooling::class_and_patch_mean:
      append(normed, 0, result);
      append_mean(normed, config.vision.leading_tokens(), result);
      break;
    case Pooling::two_class_tokens:
      append(normed, 0, result);
      append(normed, 1, result);
      break;
    case Pooling::attention:
      return attend(normed, threads);
  }
  if (!norm_.weight.empty()) {
    ops::norm(as_matrix(result), norm_.options(config), {.out = as_matrix(result)}, threads);
  }
  return result;
}

// One query for all images, then an MLP that adds to what it finds.
std::vector<float> Pooler::attend(ConstFloatMatrix normed, Threads& threads) const {
  const ModelConfig& config = model_.config();
  const std::int64_t d = config.width, T = normed.rows;
  Row q(static_cast<std::size_t>(d)), z = q, result = q, hidden = q, scores;
  ops::matmul(as_matrix(probe_), q_, as_matrix(q), {.bias = q_bias_}, threads);
  Buffer<float> memory(T * 2 * d);
  const FloatMatrix kv(memory.data(), T, 2 * d);
  ops::matmul(normed, kv_, kv, {.bias = kv_bias_}, threads);
  ops::AttentionOptions options;
  options.heads = options.kv_heads = config.heads;
  options.head_size = config.head_size;
  options.scale = config.attention_scale;
  options.causal = false;
  scores.resize(static_cast<std::size_t>(T));
  for (std::int64_t head = 0; head < config.heads; ++head) {
    ops::attention_scores(as_matrix(q), kv.slice_cols(0, d), options, head, 0, as_matrix(scores));
    ops::attention_pattern(as_matrix(scores), options);
    ops::attention_apply(as_matrix(scores), kv.slice_cols(d, d), options, head,
                         as_matrix(z).slice_cols(head * config.head_size, config.head_size));
  }
  ops::matmul(as_matrix(z), out_, as_matrix(result), {.bias = out_bias_}, threads);
  const ops::NormOptions norm = mlp_norm_.options(config);
  Row inner(static_cast<std::size_t>(mlp_in_.n()));
  ops::matmul(as_matrix(result), mlp_in_, as_matrix(inner),
              {.norm = &norm, .bias = mlp_in_bias_, .activation = config.activation}, threads);
  ops::matmul(as_matrix(inner), mlp_out_, as_matrix(hidden), {.bias = mlp_out_bias_}, threads);
  ops::add(as_matrix(result), as_matrix(hidden), as_matrix(result), threads);
  return result;
}

std::int64_t pooled_width(const ModelConfig& config) {
  const bool two = config.head.pooling == Pooling::class_and_patch_mean ||
                   config.head.pooling == Pooling::two_class_tokens;
  return config.width * (two ? 2 : 1);
}

}  // namespace massact
