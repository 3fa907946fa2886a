// The ablation of vision models.
#include <fmt/format.h>

#include "massact/eval/image_board.h"
#include "massact/study/ablate_subject.h"
#include "massact/study/image_labels.h"

namespace massact {
namespace {

class ImageMeter final : public Meter {
 public:
  explicit ImageMeter(const ImageSplit& split) : split_(split) {}

  Plan make_plan(const Model& model) const override { return {model, split_.evaluation}; }
  void attach(Plan& plan) override {
    board_ = eval::ImageBoard::attach(plan, split_.labels, split_.classifier);
  }
  void keep_original() override { original_ = board_->of(0); }
  std::uint64_t stream_bytes() const override {
    return eval::image_score_bytes(split_.evaluation->count());
  }
  Measures original() const override {
    Measures measures;
    measures.images = eval::image_measures_of(original_, nullptr);
    return measures;
  }
  Measures variant(int stream) const override {
    Measures measures;
    measures.images = eval::image_measures_of(board_->of(stream), &original_);
    measures.divergence = board_->divergence(stream);
    return measures;
  }

 private:
  const ImageSplit& split_;
  std::optional<eval::ImageBoard> board_;
  eval::ImageScores original_;
};

// Calibration images first, then those that are evaluated, as one source.
class Joined final : public PixelSource {
 public:
  explicit Joined(const ImageSplit& split) : first_(split.calibration), rest_(split.evaluation) {}

  std::int64_t count() const override { return first_->count() + rest_->count(); }
  std::int64_t channels() const override { return rest_->channels(); }
  std::int64_t height() const override { return rest_->height(); }
  std::int64_t width() const override { return rest_->width(); }
  void read(std::int64_t index, std::span<float> pixels) const override {
    const auto [source, own] = at(index);
    source->read(own, pixels);
  }
  std::string name(std::int64_t index) const override {
    const auto [source, own] = at(index);
    return source->name(own);
  }

 private:
  std::pair<const ImageFiles*, std::int64_t> at(std::int64_t index) const {
    if (index < first_->count()) return {first_.get(), index};
    return {rest_.get(), index - first_->count()};
  }

  std::shared_ptr<const ImageFiles> first_, rest_;
};

}  // namespace

std::unique_ptr<Meter> image_meter(const ImageSplit& split) {
  return std::make_unique<ImageMeter>(split);
}

void tell_split(const Model& model, const ImageSplit& split, AblateResult& result) {
  result.split = split.split;
  result.split.calibration_tokens =
      ImageLabels(model.config(), *split.evaluation).rows() * split.calibration->count();
  result.images = image_facts(model.config(), *split.evaluation);
  result.images->passed_over = split.passed_over;
  result.images->skipped = split.skipped;
  result.images->classifier = split.classifier_name;
  result.warnings.insert(result.warnings.end(), split.warnings.begin(), split.warnings.end());
  if (split.split.overlap > 0) {
    result.warnings.push_back(fmt::format(
        "{} of {} calibration images are also evaluated: means are then not estimated on other "
        "images than they are tested on",
        split.split.overlap, split.split.calibration_windows));
  }
  if (split.unused_labels) {
    const HeadKind head = model.config().head.kind;
    result.warnings.push_back(fmt::format(
        "the images are labelled, but the checkpoint has no classifier: top-1 is not measured ({})",
        head == HeadKind::embedding  ? "--class-names and the text tower make one"
        : head == HeadKind::features ? "its features of patches are compared"
                                     : "--head gives it a linear one"));
  }
}

AblateResult run_ablate(const Model& model, const ImageSplit& split, const AblateOptions& options,
                        Progress& progress) {
  AblateResult result;
  tell_split(model, split, result);
  const auto joined = std::make_shared<const Joined>(split);
  const auto meter = image_meter(split);
  const auto labels = std::make_shared<const ImageLabels>(model.config(), *split.evaluation);
  const auto search = [&] {
    return TargetSearch{Plan(model, joined), labels, split.calibration->count()};
  };
  ablate({model, *meter, labels, search}, options, progress, result);
  return result;
}

}  // namespace massact
