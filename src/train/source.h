// Where batches come from: a prepared text, or images that are drawn while training.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "train/config.h"
#include "train/data.h"

namespace massact::train {

/// `--data` of the images that this program draws itself (procedural.h).
inline constexpr const char* kProceduralData = "procedural";

/// Training and held-out data in the form that one model takes.
class Source {
 public:
  virtual ~Source() = default;

  /// `config` with what the data decides: the vocabulary, or the classes and their names.
  virtual ModelConfig fitted(ModelConfig config) const = 0;
  /// Elements first, first+1, … of an endless stream; which they are depends on the run's seed
  /// only.
  virtual Batch train_batch(std::int64_t first, std::int64_t count) const = 0;
  /// Held-out elements, the same for every run; fewer (or none) at their end.
  virtual Batch val_batch(std::int64_t first, std::int64_t count) const = 0;
  /// Identifies the training data.
  virtual std::string fingerprint() const = 0;

  /// What speed is counted in ("tokens"), and how many of it an element of a batch is.
  virtual std::string unit() const = 0;
  virtual std::int64_t units() const = 0;
  /// How much there is, for a person.
  virtual std::string size() const = 0;

  /// What checkpoints get beside the model; a vision model has neither.
  virtual int bos_id() const { return 0; }
  virtual std::vector<std::filesystem::path> files() const { return {}; }
};

/// Opens `data` for the architecture of `model`: a folder written by `prepare`, or kProceduralData.
/// Throws Error for damaged or too small data, UsageError if it is not for this architecture.
std::unique_ptr<Source> open_source(const std::filesystem::path& data, const ModelConfig& model,
                                    const TrainConfig& train);

/// Procedural images `numbers` as a model takes them: pixels [B,3,S,S], labels [B].
Batch draw_batch(std::uint64_t seed, const std::vector<std::int64_t>& numbers, std::int64_t size);

}  // namespace massact::train
