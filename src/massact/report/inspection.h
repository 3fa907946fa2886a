// What a model is and what running it would cost, without running it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "massact/report/text_style.h"
#include "massact/run/executor.h"

namespace massact {

/// A weight of the engine and the matrix that edit plans address (`WeightPlacement`).
struct InspectedWeight {
  std::string name;  ///< canonical: "blocks.1.mlp.W_out"
  std::int64_t rows = 0, columns = 0;
};

struct InspectOptions {
  std::int64_t sequences = 32;
  std::int64_t seq_len = 2048;
  RunOptions run;
};

struct Inspection {
  std::string path;
  std::string hash;  ///< of `hash_of`
  ModelConfig config;
  std::vector<TensorInfo> tensors;  ///< of the file, sorted by name
  /// By tensor: what it is for the engine; several of a fused one, none of one that is not used.
  std::map<std::string, std::vector<InspectedWeight>, std::less<>> weights;
  std::uint64_t file_bytes = 0;
  std::int64_t parameters = 0;                               ///< elements of the tensors in use
  std::vector<std::pair<std::string, std::string>> ignored;  ///< tensors not in use, and why
  std::vector<std::string> files;    ///< what is special about the model's files, in words
  std::vector<std::string> unusual;  ///< what differs from a plain decoder, in words
  bool has_tokenizer = false;

  // The run that the options describe.
  std::int64_t sequences = 0;
  std::int64_t seq_len = 0;
  ops::Precision precision = ops::Precision::f32;
  int threads = 0;
  MemoryPlan memory;
  double arithmetic = 0;             ///< floating-point operations of the whole run
  double seconds = 0;                ///< estimate: the slower of arithmetic and reading
  double operations_per_second = 0;  ///< measured just now, on a product of the model's shape
};

/// Takes a fraction of a second: it times one small matrix product. Throws Error as `plan_memory`.
Inspection inspect(const Model& model, const InspectOptions& options);

std::string inspection_text(const Inspection& inspection, bool all_tensors, const TextStyle& style);

/// Schema "massact.inspect", version 1.
nlohmann::ordered_json inspection_to_json(const Inspection& inspection);

}  // namespace massact
