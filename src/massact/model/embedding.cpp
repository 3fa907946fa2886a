#include "massact/model/embedding.h"

#include <algorithm>

#include "massact/base/error.h"
#include "massact/ops/elementwise.h"

namespace massact {
namespace {

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
    model.weights().rows("pos_embed.W_pos", 0, count, positions.row(first));
  }
}

}  // namespace

void embed(const Model& model, std::span<const std::int32_t> tokens,
           std::span<const ops::RowRange> sequences, FloatMatrix hidden, SiteVisitor& sites,
           Workspace& workspace, Threads& threads) {
  const ModelConfig& config = model.config();
  const std::vector<float> sink = model.weights().vector("sink_token");
  threads.parallel_for(hidden.rows, [&](std::int64_t r, int) {
    const std::int32_t token = tokens[static_cast<std::size_t>(r)];
    if (token == kNoToken) {
      std::copy(sink.begin(), sink.end(), hidden.row(r));
      return;
    }
    require(token >= 0 && token < config.vocab, model.name(),
            "expected token ids from 0 to {}, got {} (is this the model's tokenizer?)",
            config.vocab - 1, token);
    model.weights().rows("embed.W_E", token, 1, hidden.row(r));
  });
  if (sites.wants(SiteKind::embed)) sites.visit(SiteKind::embed, hidden);
  if (config.positions != PositionKind::learned) return;
  workspace.out.reserve_discarding(hidden.rows * hidden.cols);
  const FloatMatrix positions(workspace.out.data(), hidden.rows, hidden.cols);
  fill_positions(model, tokens, sequences, positions);
  if (sites.wants(SiteKind::pos_embed)) sites.visit(SiteKind::pos_embed, positions);
  ops::add(hidden, positions, hidden, threads);
}

Unembedding Unembedding::pack(const Model& model, ops::Precision precision, Threads& threads) {
  Unembedding unembedding(model);
  const std::string name = model.config().tied_embeddings ? "embed.W_E" : "unembed.W_U";
  const auto matrix = model.weights().matrix(name);
  unembedding.norm_ = NormWeights::read(model.weights(), "ln_final");
  unembedding.projection_ =
      ops::PackedMatrix::pack({&matrix.slice, 1}, ops::unquantised(precision), threads);
  model.weights().release(name);
  return unembedding;
}

void Unembedding::normalise(ConstFloatMatrix hidden, FloatMatrix normed, SiteVisitor& sites,
                            Threads& threads) const {
  ops::NormOutputs outputs;
  outputs.out = normed;
  ops::norm(hidden, norm_.options(model_.config()), outputs, threads);
  if (sites.wants(SiteKind::ln_final_out)) sites.visit(SiteKind::ln_final_out, normed);
}

void Unembedding::project(ConstFloatMatrix normed, FloatMatrix logits, Threads& threads) const {
  ops::matmul(normed, projection_, logits, threads);
}

std::uint64_t Unembedding::packed_bytes(const ModelConfig& config, ops::Precision precision) {
  const std::int64_t bytes = ops::bytes_of(ops::unquantised(precision));
  return static_cast<std::uint64_t>(config.vocab * config.width * bytes);
}

}  // namespace massact
