#include "massact/run/memory.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

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

// Around a row of a mapped table the system maps some pages more: up to a huge page, mostly less.
constexpr std::uint64_t kMappedPerRow = std::uint64_t{256} << 10;

constexpr std::int64_t kLogitsValues = std::int64_t{16} << 20;

std::uint64_t hidden_bytes(const ModelConfig& config, std::int64_t rows, std::int64_t streams) {
  return static_cast<std::uint64_t>(rows * config.width * streams) * sizeof(float);
}

// Greedy: as many sequences as fit, at least one.
std::vector<std::int64_t> split_passes(const ModelConfig& config, const MemoryRequest& request,
                                       std::uint64_t for_hidden) {
  std::vector<std::int64_t> begins = {0};
  std::int64_t rows = 0;
  for (std::size_t i = 0; i < request.lengths.size(); ++i) {
    const std::int64_t with = rows + request.lengths[i];
    if (rows > 0 && hidden_bytes(config, with, request.streams) > for_hidden) {
      begins.push_back(static_cast<std::int64_t>(i));
      rows = 0;
    }
    rows += request.lengths[i];
  }
  begins.push_back(static_cast<std::int64_t>(request.lengths.size()));
  return begins;
}

std::int64_t rows_of_largest_pass(const MemoryPlan& plan, std::span<const std::int64_t> lengths) {
  std::int64_t most = 0;
  for (std::int64_t pass = 0; pass < plan.passes(); ++pass) {
    std::int64_t rows = 0;
    for (auto s = plan.pass_begins[static_cast<std::size_t>(pass)];
         s < plan.pass_begins[static_cast<std::size_t>(pass) + 1]; ++s) {
      rows += lengths[static_cast<std::size_t>(s)];
    }
    most = std::max(most, rows);
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

// What a run needs, however it is divided into passes.
struct Fit {
  MemoryPlan plan;               // without passes and hidden states
  std::uint64_t end = 0;         // the unembedding, packed and as it is stored
  std::uint64_t one_pass = 0;    // without hidden states
  std::uint64_t several = 0;     // the same
  std::uint64_t all_hidden = 0;  // of one pass
  std::uint64_t smallest = 0;
};

Fit fit(const Model& model, const MemoryRequest& request) {
  const ModelConfig& config = model.config();
  const BoundWeights& weights = model.weights();
  std::int64_t longest = 1, all_rows = 0;
  for (const std::int64_t length : request.lengths) {
    longest = std::max(longest, length);
    all_rows += length;
  }
  Fit fitted;
  MemoryPlan& plan = fitted.plan;
  plan.block = Block::packed_bytes(config, request.precision);
  plan.experts = expert_count(config, all_rows, request.streams) *
                 MoeMlp::expert_bytes(config, request.precision);
  plan.blocks = request.blocks_run > 0 ? plan.block + plan.experts : 0;
  plan.batch_rows = std::min(std::max(kBatchRows, longest), all_rows);
  plan.workspace = Workspace::bytes_for(config, plan.batch_rows);
  plan.workspace += thread_bytes(model, request);
  if (request.attention_sums) plan.workspace += Workspace::sums_bytes_for(config, plan.batch_rows);
  if (request.logits) {
    plan.unembedding = Unembedding::packed_bytes(config, request.precision);
    const std::int64_t rows = config.head.pools()       ? 1
                              : config.head.reads_all() ? longest
                                                        : std::min(logits_rows(config), longest);
    plan.workspace += static_cast<std::uint64_t>(rows * config.logit_count()) * sizeof(float);
    if (config.head.pooling == Pooling::patch_neighbours) {
      plan.workspace += Neck::workspace_bytes(config);
    }
  }
  if (request.images != nullptr) {
    plan.workspace +=
        ImageEmbedding::bytes_for(config, request.images->height(), request.images->width(),
                                  plan.batch_rows / longest, request.threads, request.precision);
  }
  plan.source = largest_source(model);
  plan.embedding =
      std::min(embedding_bytes(model), static_cast<std::uint64_t>(all_rows) * kMappedPerRow);
  // Blocks are gone before the unembedding is packed.
  const char* last = config.tied_embeddings ? "embed." : "unembed.";
  fitted.end = request.logits ? plan.unembedding + weights.stored_bytes(last) : 0;
  plan.program = kProgramBytes + request.kept;
  plan.program += request.images != nullptr
                      ? kImageReaderBytes
                      : static_cast<std::uint64_t>(all_rows) * kTextBytesPerToken +
                            request.lengths.size() * kTextBytesPerSequence;
  const std::uint64_t held = std::max(plan.blocks + plan.source, fitted.end);
  // The first pass reads the embedding before there is a workspace; later ones have it already.
  fitted.one_pass = plan.program + std::max(plan.embedding, held + plan.workspace);
  fitted.several = plan.program + plan.workspace + std::max(plan.embedding, held);
  fitted.all_hidden = hidden_bytes(config, all_rows, request.streams);
  fitted.smallest = std::min(fitted.one_pass + fitted.all_hidden,
                             fitted.several + hidden_bytes(config, longest, request.streams));
  return fitted;
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
  return fit(model, request).smallest;
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
  const ModelConfig& config = model.config();
  const std::uint64_t budget = memory_budget(request.budget);
  const Fit fitted = fit(model, request);
  require_budget(fitted.smallest, budget);
  MemoryPlan plan = fitted.plan;
  const bool one = fitted.one_pass + fitted.all_hidden <= budget;
  const std::uint64_t fixed = one ? fitted.one_pass : fitted.several;
  plan.pass_begins = split_passes(config, request, budget - fixed);
  plan.hidden = hidden_bytes(config, rows_of_largest_pass(plan, request.lengths), request.streams);
  plan.total = fixed + plan.hidden;
  const std::uint64_t all_blocks =
      (plan.block + plan.experts) * static_cast<std::uint64_t>(request.blocks_run);
  const std::uint64_t everything = plan.program + plan.workspace + all_blocks + plan.hidden +
                                   std::max({plan.source, fitted.end, plan.embedding});
  if (plan.passes() > 1 && everything <= budget) {
    plan.resident = true;
    plan.blocks = all_blocks;
    plan.total = everything;
  }
  return plan;
}

}  // namespace massact
