// An opened model: its options, its mapped weights, its tokenizer. Nothing is loaded yet.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "massact/model/config.h"
#include "massact/model/weight_table.h"
#include "massact/text/tokenizer.h"

namespace massact {

/// Immutable and cheap to copy; thread-safe.
class Model {
 public:
  const ModelConfig& config() const { return parts_->config; }
  const BoundWeights& weights() const { return parts_->weights; }
  /// What the user named, with HF cache folders resolved.
  const std::filesystem::path& path() const { return parts_->path; }
  /// The model's name for people: its directory's or file's name.
  const std::string& name() const { return parts_->name; }
  bool has_tokenizer() const { return parts_->tokenizer != nullptr; }
  /// Throws Error if no tokenizer was found beside the model.
  const Tokenizer& tokenizer() const;

  /// What is special about the files it came from, in words.
  const std::vector<std::string>& notes() const { return parts_->notes; }

  /// True if the projections are stored in 16 bits or fewer (so that bf16 arithmetic loses little).
  bool has_half_weights() const;

  struct Parts {
    ModelConfig config;
    BoundWeights weights;
    std::filesystem::path path;
    std::string name;
    std::shared_ptr<const Tokenizer> tokenizer;
    std::vector<std::string> notes = {};
  };
  explicit Model(Parts parts) : parts_(std::make_shared<const Parts>(std::move(parts))) {}

 private:
  std::shared_ptr<const Parts> parts_;
};

struct OpenOptions {
  /// A tokenizer file or directory; empty: beside the model.
  std::filesystem::path tokenizer;
  /// A PEFT LoRA adapter's directory, merged into the weights as they are read; empty: none.
  std::filesystem::path adapter;
};

/// Opens an HF directory (`config.json` with safetensors or pytorch_model.bin), an HF cache folder
/// (`models--…`), a
/// `.gguf` file, a PyTorch checkpoint that says what it is (nanoGPT's `ckpt.pt`) or has config.json
/// beside it, or a llama2.c `.bin`. Maps the files and checks that config and weights agree;
/// reads no weights. Throws Error that names file, field, expected and found.
Model open_model(const std::filesystem::path& path, const OpenOptions& options = {});

/// The text tower of a checkpoint that holds an image and a text tower (CLIP, SigLIP), whose image
/// tower `open_model` opens. Its hook_logits is the text's vector, one row per text. Throws Error
/// if there is no text tower.
Model open_text_tower(const std::filesystem::path& path, const OpenOptions& options = {});

/// How image and text vectors of such a checkpoint are compared: similarity = scale * cosine +
/// bias.
struct SimilarityScale {
  float scale = 1.0f;
  float bias = 0.0f;
};

/// Reads it (CLIP: exp(logit_scale); SigLIP: also logit_bias) from the model's file; scale 1 where
/// the file has none.
SimilarityScale similarity_scale(const Model& model);

}  // namespace massact
