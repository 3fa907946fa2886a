#include "massact/run/executor.h"

#include <algorithm>
#include <map>

#include "massact/base/clock.h"
#include "massact/base/error.h"
#include "massact/base/interrupt.h"
#include "massact/model/embedding.h"
#include "massact/model/image_embedding.h"
#include "massact/ops/elementwise.h"
#include "massact/ops/packed_memory.h"
#include "massact/run/block_loader.h"
#include "massact/run/dispatch.h"
#include "massact/run/finite_check.h"
#include "massact/run/layout.h"
#include "massact/run/site_order.h"

namespace massact {
namespace {

// One run of a plan: what its passes share.
class Execution {
 public:
  Execution(Plan& plan, const RunOptions& options, Progress& progress)
      : plan_(plan),
        model_(plan.model()),
        config_(plan.model().config()),
        progress_(progress),
        threads_(options.threads),
        precision_(effective_precision(model_, options.precision)),
        lengths_(plan.lengths()),
        rope_(plan.images() != nullptr ? RopeTables(config_, plan.grid(), plan.most_added_tokens())
                                       : RopeTables(config_, lengths_)),
        memory_(plan_memory(plan, options)),
        hidden_(plan.streams().size()) {
    std::tie(last_block_, needs_end_) = plan.extent();
    if (const PixelSource* images = plan.images()) {
      image_embedding_.emplace(model_, images->height(), images->width(), precision_, threads_);
    }
  }

  RunReport run();

 private:
  void run_pass(std::int64_t pass, BlockLoader& loader);
  void embed_stream(int stream);
  void embed_batch(const Batch& batch, FloatMatrix hidden, SiteVisitor& sites);
  void run_blocks(bool wraps, BlockLoader& loader);
  void run_block(const Block& block, int index);
  void run_block_on(const Block& block, int index, int stream);
  void fork_after_block(int index);
  void copy_with_added_tokens(int stream);
  void run_end(const Unembedding& unembedding);
  void run_end_of_piece(int stream, const Unembedding& unembedding, Dispatch& sites,
                        const Batch& batch, ConstFloatMatrix hidden);
  void advance(const Batch& batch, std::int64_t stage);
  void require_everything_fired() const;

  // The block (or -1: embedding) in which a stream's own life begins, and whether it begins only
  // after the block, at its last site.
  int fork_stage(int stream) const { return first_edit(stream).block; }
  bool forks_at_end(int stream) const { return first_edit(stream).kind >= SiteKind::ln_final_out; }
  bool forks_after_block(int stream) const {
    return first_edit(stream).kind == SiteKind::resid_post;
  }
  Site first_edit(int stream) const {
    return plan_.streams()[static_cast<std::size_t>(stream)].first_edit;
  }
  int stream_count() const { return static_cast<int>(plan_.streams().size()); }
  FloatMatrix hidden(int stream) const {
    return {hidden_[static_cast<std::size_t>(stream)].data(), layout_of(stream).rows,
            config_.width};
  }
  std::int64_t added_tokens(int stream) const {
    return plan_.streams()[static_cast<std::size_t>(stream)].added_tokens;
  }
  const Layout& layout_of(int stream) const { return layouts_.at(added_tokens(stream)); }
  const Batch& batch_of(int stream, std::size_t batch) const {
    return layout_of(stream).batches[batch];
  }
  FloatMatrix rows_of(int stream, std::size_t batch) const {
    return hidden(stream).slice_rows(layout_of(stream).begins[batch], batch_of(stream, batch).rows);
  }
  void begin_stream(int stream) {
    hidden_[static_cast<std::size_t>(stream)].reserve_discarding(layout_of(stream).rows *
                                                                 config_.width);
    alive_[static_cast<std::size_t>(stream)] = true;
  }
  void fork_stream(int stream) {
    begin_stream(stream);
    if (added_tokens(stream) > 0) return copy_with_added_tokens(stream);
    ops::copy(hidden(0), hidden(stream), threads_);
  }

  Plan& plan_;
  const Model& model_;
  const ModelConfig& config_;
  Progress& progress_;
  Threads threads_;
  ops::Precision precision_;
  std::vector<std::int64_t> lengths_;
  RopeTables rope_;
  MemoryPlan memory_;
  Workspace workspace_;
  std::optional<ImageEmbedding> image_embedding_;
  int last_block_ = -1;
  bool needs_end_ = false;

  // The current pass.
  std::size_t batch_count_ = 0;
  std::map<std::int64_t, Layout> layouts_;  // by the tokens that a stream adds
  std::vector<Buffer<float>> hidden_;       // by stream: [its layout's rows, d]
  std::vector<bool> alive_;                 // streams that have hidden states of their own

  // Progress in tokens: a token counts once all its stages are done.
  std::int64_t stage_tokens_done_ = 0;
};

RunReport Execution::run() {
  const Stopwatch total;
  std::int64_t tokens = 0;
  for (const std::int64_t length : lengths_) tokens += length - config_.prefix_rows();
  progress_.begin("running", static_cast<std::uint64_t>(tokens), "tokens");
  BlockLoader loader(model_, last_block_ + 1, precision_, memory_.resident);
  for (std::int64_t pass = 0; pass < memory_.passes(); ++pass) run_pass(pass, loader);
  progress_.end();
  require_everything_fired();
  RunReport report;
  report.precision = precision_;
  report.threads = threads_.count();
  report.sequences = static_cast<std::int64_t>(lengths_.size());
  report.tokens = tokens;
  report.memory = memory_;
  report.seconds = total.seconds();
  report.seconds_waiting = loader.seconds_waited();
  report.seconds_packing = loader.seconds_packed();
  report.times = workspace_.times;
  // What is neither waiting, packing nor one of the timed stages is memory-bound small work.
  double timed = report.seconds_waiting + report.seconds_packing;
  for (const double seconds : report.times.seconds) timed += seconds;
  report.times[Stage::elementwise] = std::max(0.0, report.seconds - timed);
  report.peak_resident = peak_resident_bytes();
  for (const auto& attached : plan_.observers()) {
    if (is_attention_map(attached.site.kind) && report.notes.empty()) {
      report.notes.emplace_back(
          "attention scores or patterns are watched: attention runs on its explicit path");
    }
  }
  return report;
}

void Execution::run_pass(std::int64_t pass, BlockLoader& loader) {
  const auto begin = memory_.pass_begins[static_cast<std::size_t>(pass)];
  const auto end = memory_.pass_begins[static_cast<std::size_t>(pass) + 1];
  std::vector<std::int64_t> most_rows = lengths_;
  for (std::int64_t& length : most_rows) length += plan_.most_added_tokens();
  const auto batches = make_batches(most_rows, begin, end, memory_.batch_rows);
  batch_count_ = batches.size();
  layouts_.clear();
  for (const auto& stream : plan_.streams()) {
    if (layouts_.contains(stream.added_tokens)) continue;
    layouts_[stream.added_tokens] = lay_out(batches, lengths_, stream.added_tokens);
  }
  alive_.assign(plan_.streams().size(), false);

  embed_stream(0);
  for (int stream = 1; stream < stream_count(); ++stream) {
    if (fork_stage(stream) < 0 && !forks_at_end(stream)) embed_stream(stream);
  }
  // After the last block comes the unembedding, or the first block of the next pass.
  run_blocks(!needs_end_ && pass + 1 < memory_.passes(), loader);
  if (!needs_end_) return;
  const auto unembedding = Unembedding::pack(model_, precision_, threads_);
  run_end(unembedding);
}

void Execution::run_blocks(bool wraps, BlockLoader& loader) {
  const ops::KeepPackedMemory keep;  // not for longer: the unembedding needs the room
  for (int index = 0; index <= last_block_; ++index) {
    const int next = index < last_block_ ? index + 1 : (wraps ? 0 : -1);
    run_block(*loader.get(index, next, threads_), index);
  }
}

void Execution::embed_stream(int stream) {
  begin_stream(stream);
  Dispatch sites(plan_, stream, -1, threads_, workspace_.times);
  for (std::size_t b = 0; b < batch_count_; ++b) {
    check_interrupted();
    // Embeddings are shown for the text only, not for the sink token's row.
    const Batch& batch = batch_of(stream, b);
    Batch text = batch;
    text.dropped_rows = config_.prefix_rows();
    for (auto& rows : text.sequences) {
      rows.first += text.dropped_rows;
      rows.count -= text.dropped_rows;
    }
    sites.set_batch(text);
    const FloatMatrix rows = rows_of(stream, b);
    embed_batch(batch, rows, sites);
    require_finite(rows, plan_, {SiteKind::embed, -1}, stream, batch, threads_);
  }
  release_embedding(model_);
}

void Execution::embed_batch(const Batch& batch, FloatMatrix hidden, SiteVisitor& sites) {
  if (image_embedding_) {
    return image_embedding_->embed(*plan_.images(), batch.first_sequence, hidden, sites, workspace_,
                                   threads_);
  }
  std::vector<std::int32_t> tokens;
  for (std::int64_t s = 0; s < std::ssize(batch.sequences); ++s) {
    const auto ids = plan_.tokens(batch.first_sequence + s);
    tokens.insert(tokens.end(), ids.begin(), ids.end());
  }
  embed(model_, tokens, batch.sequences, hidden, sites, workspace_, threads_);
}

void Execution::run_block(const Block& block, int index) {
  for (int stream = 1; stream < stream_count(); ++stream) {
    if (fork_stage(stream) == index && !forks_after_block(stream)) fork_stream(stream);
  }
  for (int stream = 0; stream < stream_count(); ++stream) {
    if (alive_[static_cast<std::size_t>(stream)]) run_block_on(block, index, stream);
  }
  fork_after_block(index);
}

void Execution::run_block_on(const Block& block, int index, int stream) {
  Dispatch sites(plan_, stream, index, threads_, workspace_.times);
  for (std::size_t b = 0; b < batch_count_; ++b) {
    check_interrupted();
    const FloatMatrix rows = rows_of(stream, b);
    const Batch& batch = batch_of(stream, b);
    sites.set_batch(batch);
    block.run(rows, batch.sequences, rope_, sites, workspace_, threads_);
    if (stream == 0) advance(batch, index);
  }
}

// Streams whose first edit is the block's last site share the whole block: they are copied after
// it, and only that site is visited for them.
void Execution::fork_after_block(int index) {
  for (int stream = 1; stream < stream_count(); ++stream) {
    if (fork_stage(stream) != index || !forks_after_block(stream)) continue;
    fork_stream(stream);
    Dispatch sites(plan_, stream, index, threads_, workspace_.times);
    for (std::size_t b = 0; b < batch_count_; ++b) {
      sites.set_batch(batch_of(stream, b));
      sites.visit(SiteKind::resid_post, rows_of(stream, b));
    }
  }
}

void Execution::copy_with_added_tokens(int stream) {
  const std::vector<float> token = image_embedding_->untrained_token(threads_);
  for (std::size_t b = 0; b < batch_count_; ++b) {
    const FloatMatrix from = rows_of(0, b), to = rows_of(stream, b);
    const Batch &source = batch_of(0, b), &target = batch_of(stream, b);
    threads_.parallel_for(std::ssize(source.sequences), [&](std::int64_t s, int) {
      const auto& own = source.sequences[static_cast<std::size_t>(s)];
      const auto& longer = target.sequences[static_cast<std::size_t>(s)];
      std::copy_n(from.row(own.first), own.count * config_.width, to.row(longer.first));
      for (std::int64_t r = own.count; r < longer.count; ++r) {
        std::copy(token.begin(), token.end(), to.row(longer.first + r));
      }
    });
  }
}

// All streams are visited with one piece before the next piece is computed, in order of stream, so
// that observers of several streams can compare them without keeping more than a piece.
void Execution::run_end(const Unembedding& unembedding) {
  std::vector<Dispatch> streams;
  for (int stream = 0; stream < stream_count(); ++stream) {
    if (!alive_[static_cast<std::size_t>(stream)]) fork_stream(stream);
    streams.emplace_back(plan_, stream, -1, threads_, workspace_.times);
  }
  const std::int64_t prefix = config_.prefix_rows();
  for (std::size_t b = 0; b < batch_count_; ++b) {
    const Batch& original = batch_of(0, b);
    for (std::size_t s = 0; s < original.sequences.size(); ++s) {
      // Rows that streams add are behind these.
      const std::int64_t count = original.sequences[s].count - prefix;
      const std::int64_t piece =
          config_.head.reads_all() ? count : std::min(logits_rows(config_), count);
      for (std::int64_t first = 0; first < count; first += piece) {
        check_interrupted();
        Batch batch;
        batch.first_sequence = original.first_sequence + static_cast<std::int64_t>(s);
        batch.rows = std::min(piece, count - first);
        batch.sequences = {{0, batch.rows}};
        batch.first_position = first;
        batch.dropped_rows = prefix;
        for (int stream = 0; stream < stream_count(); ++stream) {
          const std::int64_t row = batch_of(stream, b).sequences[s].first + prefix + first;
          run_end_of_piece(stream, unembedding, streams[static_cast<std::size_t>(stream)], batch,
                           rows_of(stream, b).slice_rows(row, batch.rows));
        }
      }
    }
  }
}

// A few rows at a time: the logits of a long text need not fit into memory.
void Execution::run_end_of_piece(int stream, const Unembedding& unembedding, Dispatch& sites,
                                 const Batch& batch, ConstFloatMatrix hidden) {
  const bool logits = sites.wants(SiteKind::logits);
  if (!logits && !sites.wants(SiteKind::ln_final_out)) return;
  sites.set_batch(batch);
  const auto prefix = static_cast<std::size_t>(batch.dropped_rows);
  workspace_.normed.reserve_discarding(batch.rows * config_.width);
  const FloatMatrix normed(workspace_.normed.data(), batch.rows, config_.width);
  unembedding.normalise(hidden, normed, sites, threads_);
  if (!logits) return;
  Batch answers = batch;
  if (config_.head.pools()) {
    answers.rows = 1;
    answers.sequences = {{0, 1}};
  }
  const FloatMatrix values = Workspace::take(workspace_.mlp, answers.rows, config_.logit_count());
  workspace_.times.measure(Stage::matmul, [&] {
    unembedding.project(normed, plan_.tokens(batch.first_sequence).subspan(prefix), values,
                        threads_);
  });
  sites.set_batch(answers);
  sites.visit(SiteKind::logits, values);
  require_finite(values, plan_, {SiteKind::logits, -1}, stream, answers, threads_);
}

void Execution::advance(const Batch& batch, std::int64_t stage) {
  stage_tokens_done_ += batch.rows;
  progress_.update(static_cast<std::uint64_t>(stage_tokens_done_ / (last_block_ + 1)),
                   fmt::format("layer {}/{}", stage + 1, last_block_ + 1));
}

void Execution::require_everything_fired() const {
  for (const auto& attached : plan_.observers()) {
    require(attached.visits > 0, name_of(attached.site),
            "an observer was never called at this site");
  }
  for (const auto& watched : plan_.watched_attention()) {
    require(watched.visits > 0, name_of(Site{SiteKind::z, watched.block}),
            "an observer of attention was never called in this block");
  }
  for (const auto& planned : plan_.edits()) {
    require(planned.values_set > 0, name_of(planned.site),
            "the edit '{}' of stream '{}' matched nothing in any sequence",
            planned.edit->description(),
            plan_.streams()[static_cast<std::size_t>(planned.stream)].name);
  }
}

}  // namespace

RunReport run(Plan& plan, const RunOptions& options, Progress& progress) {
  return Execution(plan, options, progress).run();
}

}  // namespace massact
