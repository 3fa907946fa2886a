// Checkpoints: HF directories with the trainer's state beside the model.
//
//   RUN/step-00001000/   config.json, model.safetensors, tokenizer files: what HF and massact read
//                        optimizer.safetensors, trainer.json: what --resume reads
//   RUN/latest           a link to the newest
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "train/config.h"
#include "train/model.h"
#include "train/optimiser.h"

namespace massact::train {

/// Writes config.json and model.safetensors of `model` into the existing folder `dir`, for a vit
/// preprocessor_config.json too. A bias-free gpt2 gets zero biases and a vit a zero mask token, so
/// that HF loads them.
void save_model(const Model& model, const std::filesystem::path& dir, at::ScalarType dtype,
                int bos_id);

/// Reads the values of `model`'s parameters from `dir`/model.safetensors. Throws Error naming all
/// missing, unexpected and misshaped tensors at once.
void load_parameters(Model& model, const std::filesystem::path& dir);

/// The model of a checkpoint folder.
Model load_model(const std::filesystem::path& dir, at::ScalarType dtype = at::kFloat);

/// What a run must agree on to be continued, and how far it is.
struct TrainerState {
  std::int64_t step = 0;  // steps done
  TrainConfig config;
  std::string data_fingerprint;
  std::int64_t ranks = 1;
};

class CheckpointStore {
 public:
  explicit CheckpointStore(std::filesystem::path run) : run_(std::move(run)) {}

  /// The newest complete checkpoint, if any.
  std::optional<std::filesystem::path> latest() const;

  /// Writes beside, renames, moves the link, then removes all but the two newest. If anything
  /// fails the earlier checkpoints stay and an Error is thrown.
  void save(const Model& model, const AdamW& optimiser, const TrainerState& state, int bos_id,
            const std::vector<std::filesystem::path>& tokenizer_files) const;

  /// Renames the checkpoint of `step`, if there is one, to failed-step-…; the one before it becomes
  /// the latest.
  void set_aside(std::int64_t step) const;

  /// Restores model and optimiser from `dir`. Throws Error if `dir` holds another model, other
  /// settings or other data than `expected`.
  static std::int64_t load(const std::filesystem::path& dir, const TrainerState& expected,
                           Model& model, AdamW& optimiser);

 private:
  std::filesystem::path run_;
};

}  // namespace massact::train
