// What `eval` and `ablate` measure: declared once for both.
#pragma once

#include <CLI/App.hpp>
#include <string>
#include <vector>

#include "massact/cli/flags.h"
#include "massact/study/eval.h"

namespace massact {

struct MeasureFlags {
  TextFlags text;
  std::vector<std::string> tasks;  ///< NAME=FILE
  bool wikitext_rows = false;

  /// Text, tasks and how the text is read. --ppl is each command's own.
  void declare(CLI::App& command);

  bool has_text() const { return !text.text.empty() || !text.tokens.empty(); }

  /// The request for a perplexity of these flags, `seq_len` still as declared (0: not given).
  PerplexityRequest request(eval::Convention convention) const;

  /// Reads what --text or --tokens name, else the text that ships with the program, and fixes the
  /// request's seq_len: as given, else the model's limit (at most 2048); for the text that ships
  /// with the program, which is short, a tenth of it at most.
  TokenStreams read(const Model& model, PerplexityRequest& request) const;
  TokenStreams read_file(const Model& model, const std::string& file,
                         const PerplexityRequest& request) const;

  /// Reads --task files.
  std::vector<TaskRequest> read_tasks() const;
};

/// "hf,lm-eval" -> both. Throws UsageError naming `flag`.
std::vector<eval::Convention> parse_conventions(const std::string& list, const std::string& flag);

}  // namespace massact
