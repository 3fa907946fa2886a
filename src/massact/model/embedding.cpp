#include "massact/model/embedding.h"

#include <algorithm>

#include "massact/base/error.h"
#include "massact/io/mapped_weights.h"
#include "massact/ops/elementwise.h"

namespace massact {
namespace {

constexpr std::string_view kTables[] = {"embed.", "pos_embed."};

// [R, d] of learned positions. The sink token has none: its row is zero, the text starts after it.
void fill_positions(const Model& model, std::span<const std::int32_t> tokens,
                    std::span<const ops::RowRange> sequences, FloatMatrix positions) {
  const ModelConfig& config = model.config();
  for (const auto& rows : sequences) {
    std::int64_t first = rows.first, count = rows.count;
    if (count > 0 && tokens[static_cast<std::size_t>(first)] == kNoToken) {
      std::fill_n(positions.row(first), config.width, 0.0f);
      ++first;
      --count;
    }
    require(count <= config.max_positions, model.name(),
            "expected at most {} tokens in a sequence (the model has that many positions), got {}",
            config.max_positions, count);
    model.weights().rows("pos_embed.W_pos", config.position_offset, count, positions.row(first));
  }
}

ops::PackedMatrix pack(const BoundWeights& weights, std::string_view canonical,
                       ops::Precision precision, Threads& threads) {
  const auto matrix = weights.matrix(canonical);
  return ops::PackedMatrix::pack(matrix.slices, precision, threads);
}

// [R, embed_size] or [R, d]: the tokens' rows of the embedding.
void fill_tokens(const Model& model, std::span<const std::int32_t> tokens, FloatMatrix rows,
                 Threads& threads) {
  const ModelConfig& config = model.config();
  const std::vector<float> sink = model.weights().vector("sink_token");
  threads.parallel_for(rows.rows, [&](std::int64_t r, int) {
    const std::int32_t token = tokens[static_cast<std::size_t>(r)];
    if (token == kNoToken) {
      std::copy(sink.begin(), sink.end(), rows.row(r));
      return;
    }
    require(token >= 0 && token < config.vocab, model.name(),
            "expected token ids from 0 to {}, got {} (is this the model's tokenizer?)",
            config.vocab - 1, token);
    model.weights().rows("embed.W_E", token, 1, rows.row(r));
  });
}

}  // namespace

void embed(const Model& model, std::span<const std::int32_t> tokens,
           std::span<const ops::RowRange> sequences, FloatMatrix hidden, SiteVisitor& sites,
           Workspace& workspace, Threads& threads) {
  const ModelConfig& config = model.config();
  const BoundWeights& weights = model.weights();
  if (config.embed_size > 0) {
    const FloatMatrix small = Workspace::take(workspace.normed, hidden.rows, config.embed_size);
    fill_tokens(model, tokens, small, threads);
    // A small matrix in a rare kind of model: f32 in any run.
    ops::matmul(small, pack(weights, "embed.W_in", ops::Precision::f32, threads), hidden, threads);
  } else {
    fill_tokens(model, tokens, hidden, threads);
  }
  if (config.embed_scale != 1.0f) ops::scale(hidden, config.embed_scale, threads);
  if (config.embed_norm) {
    const auto norm = NormWeights::read(weights, "embed.ln");
    ops::NormOutputs outputs;
    outputs.out = hidden;
    ops::norm(hidden, norm.options(config), outputs, threads);
  }
  if (sites.wants(SiteKind::embed)) sites.visit(SiteKind::embed, hidden);
  if (config.positions != PositionKind::learned) return;
  workspace.out.reserve_discarding(hidden.rows * hidden.cols);
  const FloatMatrix positions(workspace.out.data(), hidden.rows, hidden.cols);
  fill_positions(model, tokens, sequences, positions);
  if (sites.wants(SiteKind::pos_embed)) sites.visit(SiteKind::pos_embed, positions);
  ops::add(hidden, positions, hidden, threads);
}

void release_embedding(const Model& model) {
  for (const auto table : kTables) model.weights().release(table);
}

std::uint64_t embedding_bytes(const Model& model) {
  // Rows of a large table are copied out of the file; positions are neighbours.
  return std::min(model.weights().stored_bytes(kTables[0]), MappedWeights::kSmallTensor) +
         model.weights().stored_bytes(kTables[1]);
}

Unembedding Unembedding::pack(const Model& model, ops::Precision precision, Threads& threads) {
  Unembedding unembedding(model);
  const BoundWeights& weights = model.weights();
  const std::string name = model.config().tied_embeddings ? "embed.W_E" : "unembed.W_U";
  unembedding.norm_ = NormWeights::read(weights, "ln_final");
  if (model.config().logit_count() == 0) return unembedding;
  if (model.config().head.pooling == Pooling::patch_neighbours) {
    unembedding.neck_ = std::make_shared<const Neck>(model, precision, threads);
  } else if (model.config().head.pools()) {
    unembedding.pooler_ = std::make_shared<const Pooler>(model, precision, threads);
  }
  if (!model.config().head.projects) return unembedding;
  if (model.config().embed_size > 0) {
    unembedding.to_embed_size_ =
        massact::pack(weights, "unembed.W_out", ops::Precision::f32, threads);
  }
  unembedding.projection_ = massact::pack(weights, name, ops::unquantised(precision), threads);
  unembedding.bias_ = weights.vector("unembed.b_U");
  if (model.config().head.pooling == Pooling::two_class_tokens) {
    unembedding.distilled_ =
        massact::pack(weights, "unembed.W_distilled", ops::unquantised(precision), threads);
    unembedding.distilled_bias_ = weights.vector("unembed.b_distilled");
  }
  weights.release(name);
  return unembedding;
}

void Unembedding::normalise(ConstFloatMatrix hidden, FloatMatrix normed, SiteVisitor& sites,
                            Threads& threads) const {
  if (!model_.config().final_norm) return ops::copy(hidden, normed, threads);
  ops::NormOutputs outputs;
  outputs.out = normed;
  ops::norm(hidden, norm_.options(model_.config()), outputs, threads);
  if (sites.wants(SiteKind::ln_final_out)) sites.visit(SiteKind::ln_final_out, normed);
}

void Unembedding::project(ConstFloatMatrix normed, std::span<const std::int32_t> tokens,
                          FloatMatrix logits, Threads& threads) const {
  const ModelConfig& config = model_.config();
  if (neck_) return neck_->run(normed, logits, threads);
  std::vector<float> read;
  if (pooler_) {
    read = pooler_->pool(normed, tokens, threads);
    normed = {read.data(), 1, std::ssize(read)};
  }
  if (!config.head.projects) return ops::copy(normed, logits, threads);
  if (distilled_) return project_twice(normed, logits, threads);
  Buffer<float> small;
  if (to_embed_size_) {
    const FloatMatrix projected = Workspace::take(small, normed.rows, config.embed_size);
    ops::matmul(normed, to_embed_size_, projected, threads);
    normed = projected;
  }
  ops::matmul(normed, projection_, logits, threads);
  ops::add_bias(logits, bias_, threads);
  if (config.logit_scale != 1.0f) ops::scale(logits, config.logit_scale, threads);
  if (config.logit_soft_cap > 0) ops::soft_cap(logits, config.logit_soft_cap, threads);
}

// The mean of two heads, each on its half of the row.
void Unembedding::project_twice(ConstFloatMatrix row, FloatMatrix logits, Threads& threads) const {
  const std::int64_t d = model_.config().width;
  std::vector<float> other(static_cast<std::size_t>(logits.cols));
  const FloatMatrix others(other.data(), 1, logits.cols);
  ops::matmul(row.slice_cols(0, d), projection_, logits, {.bias = bias_}, threads);
  ops::matmul(row.slice_cols(d, d), distilled_, others, {.bias = distilled_bias_}, threads);
  ops::add(logits, others, logits, threads);
  ops::scale(logits, 0.5f, threads);
}

std::uint64_t Unembedding::packed_bytes(const ModelConfig& config, ops::Precision precision) {
  const std::int64_t bytes = ops::bytes_of(ops::unquantised(precision));
  if (config.head.pooling == Pooling::patch_neighbours) {
    return Neck::packed_bytes(config, precision);
  }
  if (config.head.pooling == Pooling::attention) {
    return static_cast<std::uint64_t>((4 * config.width + 2 * config.mlp_size) * config.width *
                                      bytes);
  }
  if (config.head.pools()) {
    return static_cast<std::uint64_t>(config.logit_count() * pooled_width(config) * bytes);
  }
  return static_cast<std::uint64_t>(config.vocab * config.width * bytes);
}

}  // namespace massact
