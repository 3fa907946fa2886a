// How much memory a run needs, and how many sequences fit into one pass.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "massact/image/pixel_source.h"
#include "massact/model/model.h"
#include "massact/ops/matmul.h"

namespace massact {

/// What a run is about to hold, in bytes.
struct MemoryPlan {
  std::uint64_t block = 0;    ///< one packed block, without experts
  std::uint64_t experts = 0;  ///< experts of one block that tokens may be sent to, packed
  std::uint64_t blocks = 0;   ///< all blocks held at the same time
  bool resident = false;      ///< all blocks stay in memory between passes
  std::uint64_t unembedding = 0;
  std::uint64_t source = 0;     ///< weights as they are stored, while they are being packed
  std::uint64_t embedding = 0;  ///< what reading it holds of the file, before there are blocks
  std::uint64_t hidden = 0;     ///< hidden states of all streams of the largest pass
  std::uint64_t workspace = 0;  ///< activations inside a block, and what each thread keeps
  std::uint64_t program = 0;    ///< the program itself: libraries, texts, results
  std::uint64_t total = 0;      ///< of the above, at the fullest moment
  std::int64_t batch_rows = 0;  ///< rows computed together, at most
  /// First sequence of each pass, and the number of sequences at the end.
  std::vector<std::int64_t> pass_begins;

  std::int64_t passes() const { return static_cast<std::int64_t>(pass_begins.size()) - 1; }
};

struct MemoryRequest {
  std::span<const std::int64_t> lengths;  ///< rows of each sequence
  std::int64_t streams = 1;
  bool logits = false;
  bool attention_sums = false;  ///< attention is watched
  std::int64_t blocks_run = 0;
  ops::Precision precision = ops::Precision::f32;
  std::uint64_t budget = 0;             ///< 0: three quarters of the machine's memory
  std::uint64_t kept = 0;               ///< results of all sequences
  const PixelSource* images = nullptr;  ///< if the sequences are images
  int threads = 1;                      ///< that compute, pack and read images
};

/// Splits the sequences into passes within the budget. Throws UsageError that names the smallest
/// budget that works if not even the longest sequence fits.
MemoryPlan plan_memory(const Model& model, const MemoryRequest& request);

/// The smallest budget with which `plan_memory` does not throw, in bytes.
std::uint64_t smallest_memory(const Model& model, const MemoryRequest& request);

/// The budget in bytes: the request's, or three quarters of the machine's memory.
std::uint64_t memory_budget(std::uint64_t requested);

/// Throws UsageError that names `smallest` if the budget is less.
void require_budget(std::uint64_t smallest, std::uint64_t budget);

/// Installed memory in bytes.
std::uint64_t physical_memory();

/// Largest resident set of this process so far, in bytes.
std::uint64_t peak_resident_bytes();

/// Rows of logits computed at a time.
std::int64_t logits_rows(const ModelConfig& config);

}  // namespace massact
