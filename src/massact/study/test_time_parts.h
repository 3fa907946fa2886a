// The steps of the study of test-time registers. Internal to the room.
#pragma once

#include <memory>
#include <vector>

#include "massact/study/ablate_subject.h"
#include "massact/study/image_labels.h"
#include "massact/study/test_time.h"

namespace massact::test_time {

/// What the steps share.
struct Context {
  const Model& model;
  const ImageSplit& split;
  const TestTimeOptions& options;
  const RunOptions& run;
  Progress& progress;
  std::shared_ptr<const ImageLabels> labels;

  observe::PatchRows patches() const { return {labels->first_patch(), labels->grid().count()}; }
};

/// Layers of the calibration images, the outlier layer and the last layer of `result`. Returns the
/// outliers behind the outlier layer, by image.
std::vector<std::vector<std::int64_t>> find_outliers(const Context& context,
                                                     TestTimeResult& result);

/// All neurons of the layers up to `last_layer`, best first.
std::vector<RegisterNeuron> rank_neurons(const Context& context, int last_layer,
                                         std::vector<std::vector<std::int64_t>> outliers);

/// As many neurons as asked for, or as few as take nine of ten outliers away (fills the sweep).
std::vector<RegisterNeuron> choose_neurons(const Context& context,
                                           std::vector<RegisterNeuron> ranked,
                                           TestTimeResult& result);

/// The runs that need most memory: the trials of `choose_neurons` and the evaluation, each with one
/// variant at a time. `calibration` and `evaluation` must outlive them.
std::vector<RunToCome> largest_runs(const TestTimeOptions& options, const Plan& calibration,
                                    const Plan& evaluation);

/// As many others in each of their layers.
std::vector<RegisterNeuron> other_neurons(const std::vector<RegisterNeuron>& neurons,
                                          const ModelConfig& config, std::uint64_t seed);

/// Edits of mlp.hook_post at the patches: moved to the added tokens, or set to zero.
std::vector<SiteEdit> neuron_edits(const Context& context,
                                   const std::vector<RegisterNeuron>& neurons, bool move);

/// Measures images as `image_meter` does, and what `result` says of outliers, for variants with
/// edits up to `last_layer`.
class OutlierMeter final : public Meter {
 public:
  OutlierMeter(const Context& context, const TestTimeResult& result);

  Plan make_plan(const Model& model) const override { return images_->make_plan(model); }
  bool watches_attention() const override { return !blocks_.empty(); }
  void attach(Plan& plan) override;
  void keep_original() override { images_->keep_original(); }
  std::uint64_t stream_bytes() const override { return images_->stream_bytes(); }
  Measures original() const override { return images_->original(); }
  Measures variant(int stream) const override { return images_->variant(stream); }

  /// Of the original and the variants of all plans, in their order.
  std::vector<OutlierMeasures> outliers() const;

 private:
  // Tables outlive the plan and its observers.
  struct Stream {
    std::string name;
    std::shared_ptr<observe::OutlierTable> table;
    std::shared_ptr<observe::AttentionTable> attention;
  };
  const std::vector<observe::PatchNorms>& norms_of(const Stream& stream) const;

  const Context& context_;
  int outlier_layer_;
  std::vector<int> blocks_;  // whose attention is watched
  std::unique_ptr<Meter> images_;
  std::vector<Stream> streams_;
};

}  // namespace massact::test_time
