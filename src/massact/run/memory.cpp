#include "massact/run/memory.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "massact/base/error.h"
#include "massact/base/units.h"
#include "massact/model/block.h"
#include "massact/model/embedding.h"
#include "massact/model/image_embedding.h"
#include "massact/model/moe.h"
#include "massact/ops/thread_memory.h"

namespace massact {
namespace {

// A batch is at least this many rows if there are enough: below, packed weights are read from
// memory too often for the arithmetic done with them.
constexpr std::int64_t kBatchRows = 2048;

// What a run takes beside the plan's items, measured on small models (docs/performance.md).
constexpr std::uint64_t kProgramBytes = std::uint64_t{21} << 20;
constexpr std::uint64_t kImageReaderBytes = std::uint64_t{8} << 20;
constexpr std::uint64_t kThreadBytes = std::uint64_t{128} << 10;  // its stack and its allocator's

// Of a text beside its hidden states: ids in the corpus, its windows and its plan, measured.
constexpr std::uint64_t kTextBytesPerToken = 24, kTextBytesPerSequence = 384;

constexpr std::int64_t kLogitsValues = std::int64_t{16} << 20;

std::uint64_t hidden_bytes(const ModelConfig& config, std::int64_t rows, std::int64_t streams) {
  return static_cast<std::uint64_t>(rows * config.width * streams) * sizeof(float);
}

// Greedy: as many sequences as `most_rows` hold, at least one.
std::vector<std::int64_t> split_passes(std::span<const std::int64_t> lengths,
                                       std::int64_t most_rows) {
  std::vector<std::int64_t> begins = {0};
  std::int64_t rows = 0;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    if (rows > 0 && rows + lengths[i] > most_rows) {
      begins.push_back(static_cast<std::int64_t>(i));
      rows = 0;
    }
    rows += lengths[i];
  }
  begins.push_back(static_cast<std::int64_t>(lengths.size()));
  return begins;
}

std::int64_t rows_of_largest_pass(std::span<const std::int64_t> begins,
                                  std::span<const std::int64_t> lengths) {
  std::int64_t most = 0;
  for (std::size_t pass = 0; pass + 1 < begins.size(); ++pass) {
    most = std::max(most, std::accumulate(lengths.begin() + begins[pass],
                                          lengths.begin() + begins[pass + 1], std::int64_t{0}));
  }
  return most;
}

// Experts that the tokens of a run may be sent to in one block.
std::uint64_t expert_count(const ModelConfig& config, std::int64_t rows, std::int64_t streams) {
  const MoeConfig& moe = config.moe;
  if (moe.experts == 0) return 0;
  const std::int64_t fewest_rows = (moe.experts + moe.per_token - 1) / moe.per_token;
  const bool all = rows >= fewest_rows || streams >= fewest_rows;
  return static_cast<std::uint64_t>(all ? moe.experts
                                        : std::min(moe.experts, rows * moe.per_token * streams));
}

// What is packed at a time, as it is stored.
std::uint64_t largest_source(const Model& model) {
  std::uint64_t largest = 0;
  for (int block = 0; block < model.config().layers; ++block) {
    largest = std::max(largest, Block::source_bytes(model, block));
  }
  return largest;
}

// What threads keep for themselves. No product is larger than the largest of a block or the
// unembedding.
std::uint64_t thread_bytes(const Model& model, const MemoryRequest& request) {
  const ModelConfig& config = model.config();
  const std::int64_t heads = config.heads * config.head_size;
  const std::int64_t k = std::max({config.width, config.mlp_size, config.moe.size, heads});
  const std::int64_t n = std::max(k, config.logit_count());
  const auto& tensors = model.weights().source().tensors();
  const bool decoded = std::any_of(tensors.begin(), tensors.end(),
                                   [](const TensorInfo& tensor) { return !tensor.viewable; });
  return static_cast<std::uint64_t>(request.threads) *
         (kThreadBytes + ops::matmul_thread_bytes(n, k, request.precision, decoded) +
          ops::attention_thread_bytes(config.head_size));
}

// What a run needs; what depends on the rows of its largest pass is asked for with them.
class Needs {
 public:
  Needs(const Model& model, const MemoryRequest& request);

  std::int64_t longest() const { return longest_; }
  std::int64_t all_rows() const { return all_rows_; }
  /// Without passes, whose largest has so many rows.
  MemoryPlan plan(std::int64_t rows) const;
  std::uint64_t one_pass() const;
  std::uint64_t several(std::int64_t rows) const;  ///< passes of at most so many rows
  std::uint64_t smallest() const { return std::min(one_pass(), several(longest_)); }
  /// The unembedding, packed and as it is stored. Blocks are gone before it is packed.
  std::uint64_t end() const { return end_; }

 private:
  std::uint64_t held() const { return std::max(plan_.blocks + plan_.source, end_); }
  std::uint64_t workspace(std::int64_t batch_rows) const;

  const Model& model_;
  const MemoryRequest& request_;
  std::int64_t longest_ = 1, all_rows_ = 0;
  std::uint64_t end_ = 0;
  MemoryPlan plan_;  // `workspace` is what does not depend on rows
};

Needs::Needs(const Model& model, const MemoryRequest& request) : model_(model), request_(request) {
  const ModelConfig& config = model.config();
  for (const std::int64_t length : request.lengths) {
    longest_ = std::max(longest_, length);
    all_rows_ += length;
  }
  plan_.block = Block::packed_bytes(config, request.precision);
  plan_.experts = expert_count(config, all_rows_, request.streams) *
                  MoeMlp::expert_bytes(config, request.precision);
  plan_.blocks = request.blocks_run > 0 ? plan_.block + plan_.experts : 0;
  plan_.workspace = thread_bytes(model, request);
  if (request.logits) {
    plan_.unembedding = Unembedding::packed_bytes(config, request.precision);
    const char* last = config.tied_embeddings ? "embed." : "unembed.";
    end_ = plan_.unembedding + model.weights().stored_bytes(last);
    const std::int64_t rows = config.head.pools()       ? 1
                              : config.head.reads_all() ? longest_
                                                        : std::min(logits_rows(config), longest_);
    plan_.workspace += static_cast<std::uint64_t>(rows * config.logit_count()) * sizeof(float);
    if (config.head.pooling == Pooling::patch_neighbours) {
      plan_.workspace += Neck::workspace_bytes(config);
    }
  }
  plan_.source = largest_source(model);
  plan_.embedding = embedding_bytes(model);
  plan_.program = kProgramBytes + request.kept;
  plan_.program += request.images != nullptr
                       ? kImageReaderBytes
                       : static_cast<std::uint64_t>(all_rows_) * kTextBytesPerToken +
                             request.lengths.size() * kTextBytesPerSequence;
}

std::uint64_t Needs::workspace(std::int64_t batch_rows) const {
  const ModelConfig& config = model_.config();
  std::uint64_t bytes = plan_.workspace + Workspace::bytes_for(config, batch_rows);
  if (request_.attention_sums) bytes += Workspace::sums_bytes_for(config, batch_rows);
  if (request_.images != nullptr) {
    bytes += ImageEmbedding::bytes_for(config, request_.images->height(), request_.images->width(),
                                       batch_rows / longest_, request_.threads, request_.precision);
  }
  return bytes;
}

MemoryPlan Needs::plan(std::int64_t rows) const {
  MemoryPlan plan = plan_;
  plan.batch_rows = std::min(std::max(kBatchRows, longest_), rows);
  plan.workspace = workspace(plan.batch_rows);
  plan.hidden = hidden_bytes(model_.config(), rows, request_.streams);
  return plan;
}

// The first pass reads the embedding before there is a workspace; later ones have it already.
std::uint64_t Needs::one_pass() const {
  const MemoryPlan whole = plan(all_rows_);
  return whole.program + whole.hidden + std::max(whole.embedding, held() + whole.workspace);
}

std::uint64_t Needs::several(std::int64_t rows) const {
  const MemoryPlan part = plan(rows);
  return part.program + part.hidden + part.workspace + std::max(part.embedding, held());
}

// The most rows whose passes the budget holds.
std::int64_t rows_that_fit(const Needs& needs, std::uint64_t budget) {
  std::int64_t fits = needs.longest(), too_many = needs.all_rows() + 1;
  while (too_many - fits > 1) {
    const std::int64_t middle = fits + (too_many - fits) / 2;
    (needs.several(middle) <= budget ? fits : too_many) = middle;
  }
  return fits;
}

}  // namespace

std::uint64_t physical_memory() {
  return static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) *
         static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

std::uint64_t peak_resident_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

std::int64_t logits_rows(const ModelConfig& config) {
  const std::int64_t columns = std::max<std::int64_t>(config.logit_count(), 1);
  return std::clamp<std::int64_t>(kLogitsValues / columns, 16, kBatchRows);
}

std::uint64_t smallest_memory(const Model& model, const MemoryRequest& request) {
  return Needs(model, request).smallest();
}

std::uint64_t memory_budget(std::uint64_t requested) {
  return requested > 0 ? requested : physical_memory() / 4 * 3;
}

void require_budget(std::uint64_t smallest, std::uint64_t budget) {
  if (smallest <= budget) return;
  fail_usage("--memory", "expected at least {} for this model and all that it reads, got {}",
             format_bytes_up(smallest), format_bytes(budget));
}

MemoryPlan plan_memory(const Model& model, const MemoryRequest& request) {
  const std::uint64_t budget = memory_budget(request.budget);
  const Needs needs(model, request);
  require_budget(needs.smallest(), budget);
  const bool one = needs.one_pass() <= budget;
  const std::int64_t most_rows = one ? needs.all_rows() : rows_that_fit(needs, budget);
  auto begins = split_passes(request.lengths, most_rows);
  const std::int64_t rows = rows_of_largest_pass(begins, request.lengths);
  MemoryPlan plan = needs.plan(rows);
  plan.pass_begins = std::move(begins);
  plan.total = one ? needs.one_pass() : needs.several(rows);
  const std::uint64_t all_blocks =
      (plan.block + plan.experts) * static_cast<std::uint64_t>(request.blocks_run);
  const std::uint64_t everything = plan.program + plan.workspace + all_blocks + plan.hidden +
                                   std::max({plan.source, needs.end(), plan.embedding});
  if (plan.passes() > 1 && everything <= budget) {
    plan.resident = true;
    plan.blocks = all_blocks;
    plan.total = everything;
  }
  return plan;
}

}  // namespace massact
