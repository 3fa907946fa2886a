// What an ablation needs to know of what the model reads: texts (ablate.cpp) or images
// (ablate_images.cpp). Internal to the room.
#pragma once

#include <functional>
#include <memory>

#include "massact/study/ablate_variants.h"

namespace massact {

/// Measures the streams of plans over one and the same input.
class Meter {
 public:
  virtual ~Meter() = default;
  virtual Plan make_plan(const Model& model) const = 0;
  /// True if what it attaches watches attention.
  virtual bool watches_attention() const { return false; }
  /// Watches all streams that the plan has by now; `variant` is then about this plan, after its
  /// run. Plans that follow one another repeat the original and have other variants.
  virtual void attach(Plan& plan) = 0;
  /// Stream 0 is what all later variants are compared with.
  virtual void keep_original() = 0;
  /// Bytes that it keeps of each stream, and of the original once more.
  virtual std::uint64_t stream_bytes() const = 0;
  virtual Measures original() const = 0;
  virtual Measures variant(int stream) const = 0;
};

struct AblationSubject {
  const Model& model;
  Meter& meter;
  std::shared_ptr<const PositionLabels> labels;  ///< of what `meter` measures on
  std::function<TargetSearch()> search;          ///< over that and what calibrates
};

/// Measures images: the evaluation part of `split`, which must outlive it.
std::unique_ptr<Meter> image_meter(const ImageSplit& split);

/// What the report says of the images: fills split, images and the warnings about them.
void tell_split(const Model& model, const ImageSplit& split, AblateResult& result);

/// Runs the original and the variants, all but those with other weights in one run, or in as few as
/// the memory budget allows, each with the original: fills rows, facts and forward_passes of
/// `result`, and warns if there are several.
void run_variants(const Model& model, Meter& meter, std::vector<Variant> variants,
                  const RunOptions& options, Progress& progress, AblateResult& result);

/// Scans, edits, measures; fills the rest of `result`.
void ablate(const AblationSubject& subject, const AblateOptions& options, Progress& progress,
            AblateResult& result);

}  // namespace massact
