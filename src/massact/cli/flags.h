// The flags that commands share: declared once, with one meaning (docs/commands.md).
#pragma once

#include <CLI/App.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "massact/base/progress.h"
#include "massact/model/model.h"
#include "massact/run/executor.h"
#include "massact/text/corpus.h"

namespace massact {

/// MODEL, where its tokenizer is, and what is merged into it.
struct ModelFlags {
  std::string model;
  std::string tokenizer;
  std::string adapter;

  void declare(CLI::App& command);
  Model open() const;
};

/// What the model reads.
struct TextFlags {
  std::vector<std::string> text;
  std::string tokens;
  std::int64_t seq_len = 0;  ///< 0: the model's limit, at most 2048
  std::int64_t sequences = 32;
  std::string bos = "auto";

  void declare(CLI::App& command);
  /// --seq-len and --sequences alone.
  void declare_size(CLI::App& command);
  /// The length in effect for this model. Throws UsageError if it is longer than the model allows.
  std::int64_t effective_seq_len(const ModelConfig& config) const;
  /// --bos.
  BosPolicy bos_policy() const;
  /// Reads and tokenises. The corpus refers to the model's tokenizer.
  Corpus read(const Model& model) const;
};

/// How it is computed.
struct RunFlags {
  std::string precision = "auto";
  int threads = 0;
  std::string memory;

  void declare(CLI::App& command);
  RunOptions options() const;
};

/// What comes out, and where.
struct OutputFlags {
  std::string out;
  bool json = false;
  bool quiet = false;
  bool force = false;

  /// --out DIR, --force, --json, --quiet.
  void declare(CLI::App& command);
  /// --quiet alone, for commands whose output is not a report.
  void declare_quiet(CLI::App& command);
  /// A bar on stderr if that is a terminal and nobody asked for quiet.
  std::unique_ptr<Progress> progress() const;
};

}  // namespace massact
