// The flags that commands share: declared once, with one meaning (docs/commands.md).
#pragma once

#include <CLI/App.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "massact/base/progress.h"
#include "massact/image/image_set.h"
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
  /// Counts a command's own flag among those that only models of text know.
  CLI::Option* own(CLI::Option* option);
  /// --classes, a file of PositionLists.
  void declare_classes(CLI::App& command, std::string& classes);
  /// The first of these flags that was typed; empty: none.
  std::string typed() const;
  /// The length in effect for this model. Throws UsageError if it is longer than the model allows.
  std::int64_t effective_seq_len(const ModelConfig& config) const;
  /// --bos.
  BosPolicy bos_policy() const;
  /// Reads and tokenises. The corpus refers to the model's tokenizer.
  Corpus read(const Model& model) const;

 private:
  std::vector<const CLI::Option*> options_;  // the command's, which lives as long
};

/// What a vision model reads.
struct ImageFlags {
  std::vector<std::string> paths;
  std::int64_t max_images = 0;  ///< 0: all
  bool skip_bad = false;
  // What predicts their classes (study/image_classifier.h).
  std::string class_names;
  std::string templates;
  std::string head;

  void declare(CLI::App& command);
  /// --class-names, --templates, --head, for commands that measure top-1.
  void declare_classifier(CLI::App& command);
  /// The first of these flags that was typed; empty: none.
  std::string typed() const;
  /// Lists the images of --images and reads how the model wants them.
  std::shared_ptr<const ImageFiles> read(const Model& model, int threads) const {
    return read(model, paths, threads);
  }
  /// The same for other paths, with these flags' limits.
  std::shared_ptr<const ImageFiles> read(const Model& model, const std::vector<std::string>& from,
                                         int threads) const;

 private:
  std::vector<const CLI::Option*> options_;
};

/// --rule, as Rule::parse reads it.
void declare_rule(CLI::App& command, std::string& rule);

/// Throws UsageError for a vision model.
void require_reads_text(const Model& model);

/// True if the model reads images. Throws UsageError if the flags given are those of the other
/// kind, or if a vision model was given no images.
bool reads_images(const Model& model, const TextFlags& text, const ImageFlags& images);

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
