#include "massact/study/registers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "massact/base/error.h"
#include "massact/eval/image_board.h"
#include "massact/study/ablate_subject.h"
#include "massact/study/image_labels.h"
#include "massact/study/test_time_parts.h"

namespace massact {
namespace {

constexpr std::int64_t kFewImages = 10;

double length_of(const float* values, std::int64_t count) {
  double squares = 0.0;
  for (std::int64_t i = 0; i < count; ++i) {
    squares += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  }
  return std::sqrt(squares);
}

// Sums over images, of one row of the sequence at one site.
struct RowSums {
  std::vector<double> sum;
  double norms = 0.0;
  double squares = 0.0;  // of the norms
  double largest = 0.0;
  std::int64_t count = 0;

  void add(const float* row, std::int64_t width) {
    sum.resize(static_cast<std::size_t>(width));
    for (std::int64_t c = 0; c < width; ++c) sum[static_cast<std::size_t>(c)] += row[c];
    add_norm(length_of(row, width));
  }
  void add_norm(double norm) {
    norms += norm;
    squares += norm * norm;
    largest = std::max(largest, norm);
    ++count;
  }
};

// Watches the inputs of blocks: class tokens and registers row by row, patches together.
class LeadingRows final : public Observer {
 public:
  struct Block {
    std::vector<RowSums> leading;
    RowSums patches;
  };

  LeadingRows(const ImageLabels& labels, const ModelConfig& config)
      : labels_(labels), prefix_(config.prefix_rows()) {
    blocks_.resize(static_cast<std::size_t>(config.layers));
    for (Block& block : blocks_) {
      block.leading.resize(static_cast<std::size_t>(labels.first_patch() - prefix_));
    }
  }

  void observe(const SiteView& view, Threads&) override {
    Block& block = blocks_[static_cast<std::size_t>(view.site.block)];
    const std::int64_t first = edit::first_position_of(view, prefix_);
    for (std::int64_t r = 0; r < view.values.rows; ++r) {
      const std::int64_t position = first + r;
      if (position < prefix_) continue;
      const float* row = view.values.row(r);
      if (position < labels_.first_patch()) {
        block.leading[static_cast<std::size_t>(position - prefix_)].add(row, view.values.cols);
      } else {
        block.patches.add_norm(length_of(row, view.values.cols));
      }
    }
  }

  const std::vector<Block>& blocks() const { return blocks_; }

 private:
  ImageLabels labels_;
  std::int64_t prefix_;
  std::vector<Block> blocks_;
};

TokenNorms norms_of(std::string token, const RowSums& sums) {
  TokenNorms norms;
  norms.token = std::move(token);
  const auto n = static_cast<double>(std::max<std::int64_t>(sums.count, 1));
  norms.norm = sums.norms / n;
  norms.largest = sums.largest;
  if (sums.sum.empty()) return norms;
  double squares = 0.0;
  for (const double sum : sums.sum) squares += sum / n * (sum / n);
  norms.mean_length = std::sqrt(squares);
  // E‖h − m‖² = E‖h‖² − ‖m‖²
  const double variance = std::max(0.0, sums.squares / n - squares);
  norms.scatter = norms.mean_length > 0 ? std::sqrt(variance) / norms.mean_length : 0.0;
  return norms;
}

RegisterMeans means_of(const LeadingRows& rows, std::int64_t first, std::int64_t count,
                       const ModelConfig& config) {
  RegisterMeans means{config.layers, count, config.width, {}};
  for (const LeadingRows::Block& block : rows.blocks()) {
    for (std::int64_t r = first; r < first + count; ++r) {
      const RowSums& sums = block.leading[static_cast<std::size_t>(r)];
      for (const double sum : sums.sum) {
        means.values.push_back(static_cast<float>(sum / static_cast<double>(sums.count)));
      }
    }
  }
  return means;
}

// Overwrites the registers by one vector each; without means by zero.
class FixRegisters final : public Edit {
 public:
  FixRegisters(std::shared_ptr<const RegisterMeans> means, const ImageLabels& labels,
               std::int64_t prefix_rows)
      : means_(std::move(means)), labels_(labels), prefix_rows_(prefix_rows) {}

  std::int64_t apply(const SiteView& view) override {
    const std::int64_t first = edit::first_position_of(view, prefix_rows_);
    std::int64_t set = 0;
    for (std::int64_t r = 0; r < view.values.rows; ++r) {
      const std::int64_t reg = first + r - labels_.first_register();
      if (reg < 0 || first + r >= labels_.first_patch()) continue;
      float* row = view.values.row(r);
      if (means_ == nullptr) {
        std::fill_n(row, view.values.cols, 0.0f);
      } else {
        std::copy_n(means_->at(view.site.block, reg), view.values.cols, row);
      }
      set += view.values.cols;
    }
    return set;
  }
  std::string description() const override {
    return means_ == nullptr ? "registers to zero" : "registers to their mean";
  }

 private:
  std::shared_ptr<const RegisterMeans> means_;
  ImageLabels labels_;
  std::int64_t prefix_rows_;
};

std::vector<Site> block_inputs(const ModelConfig& config) {
  std::vector<Site> sites;
  for (int block = 0; block < static_cast<int>(config.layers); ++block) {
    sites.push_back({SiteKind::resid_pre, block});
  }
  return sites;
}

class VariantList {
 public:
  VariantList(const ImageLabels& labels, const ModelConfig& config)
      : labels_(labels), config_(config) {}

  /// Before all blocks, or before one of them.
  void add(std::string name, const std::shared_ptr<const RegisterMeans>& means,
           std::optional<int> block = {}) {
    Variant variant;
    variant.row.name = std::move(name);
    variant.row.kind = VariantKind::plan;
    variant.row.layer = block ? *block : -1;  // the hidden state that it edits
    for (const Site site : block_inputs(config_)) {
      if (block && site.block != *block) continue;
      auto edit = std::make_unique<FixRegisters>(means, labels_, config_.prefix_rows());
      variant.row.description = edit->description();
      variant.edits.push_back({site, std::move(edit)});
    }
    variants_.push_back(std::move(variant));
  }

  std::vector<Variant> take() { return std::move(variants_); }

 private:
  const ImageLabels& labels_;
  const ModelConfig& config_;
  std::vector<Variant> variants_;
};

MeansComparison compare(const RegisterMeans& given, const RegisterMeans& measured,
                        const std::filesystem::path& path) {
  MeansComparison result;
  result.file = path.string();
  for (std::int64_t block = 0; block < measured.blocks; ++block) {
    for (std::int64_t reg = 0; reg < measured.registers; ++reg) {
      const float *a = given.at(block, reg), *b = measured.at(block, reg);
      double product = 0.0, difference = 0.0;
      for (std::int64_t c = 0; c < measured.width; ++c) {
        product += static_cast<double>(a[c]) * b[c];
        difference += (static_cast<double>(a[c]) - b[c]) * (static_cast<double>(a[c]) - b[c]);
      }
      const double lengths = length_of(a, given.width) * length_of(b, given.width);
      result.cosines.push_back(lengths > 0 ? product / lengths : 0.0);
      result.least_cosine = std::min(result.least_cosine, result.cosines.back());
      const double own = length_of(b, given.width);
      if (own > 0) {
        result.largest_difference =
            std::max(result.largest_difference, std::sqrt(difference) / own);
      }
    }
  }
  return result;
}

void measure_means(const Model& model, const ImageSplit& split, const ImageLabels& labels,
                   const RunOptions& options, Progress& progress, RegistersResult& result) {
  const ModelConfig& config = model.config();
  Plan plan(model, split.calibration);
  const LeadingRows& rows = plan.observe(block_inputs(config), LeadingRows(labels, config));
  run(plan, options, progress);
  result.cls = means_of(rows, 0, config.vision.class_tokens, config);
  result.registers = means_of(rows, config.vision.class_tokens, config.vision.registers, config);
  for (std::size_t block = 0; block < rows.blocks().size(); ++block) {
    RegisterLayer layer;
    layer.block = static_cast<int>(block) + 1;
    const LeadingRows::Block& sums = rows.blocks()[block];
    for (std::size_t r = 0; r < sums.leading.size(); ++r) {
      const std::int64_t position = config.prefix_rows() + static_cast<std::int64_t>(r);
      layer.tokens.push_back(norms_of(labels.token_text(0, position), sums.leading[r]));
    }
    layer.tokens.push_back(norms_of("patch", sums.patches));
    result.layers.push_back(std::move(layer));
  }
}

// Too small a budget for what comes after the means must not show after them.
void check_memory(const Model& model, const ImageSplit& split, const RegistersOptions& options) {
  const Plan calibration(model, split.calibration), evaluation(model, split.evaluation);
  const std::uint64_t scores = eval::image_score_bytes(evaluation.sequence_count());
  require_memory(model.config().vision.registers == 0
                     ? test_time::largest_runs(options.test_time, calibration, evaluation)
                     : std::vector<RunToCome>{{.plan = calibration},
                                              {.plan = evaluation,
                                               .streams = 2,
                                               .logits = true,
                                               .kept = scores,
                                               .kept_per_stream = scores}},
                 options.run);
}

}  // namespace

RegistersResult run_registers(const Model& model, const ImageSplit& split,
                              const RegistersOptions& options, Progress& progress) {
  const ModelConfig& config = model.config();
  const ImageLabels labels(config, *split.evaluation);
  RegistersResult result;
  AblateResult& evaluation = result.evaluation;
  std::shared_ptr<const RegisterMeans> given;
  if (!options.means.empty()) {
    require(config.vision.registers > 0, options.means.string(),
            "expected a model with registers to compare with, got {} without", model.name());
    given = std::make_shared<const RegisterMeans>(read_register_means(options.means, config));
  }
  if (config.vision.registers == 0) check_test_time(model, split, options.test_time);
  check_memory(model, split, options);
  tell_split(model, split, evaluation);
  measure_means(model, split, labels, options.run, progress, result);
  if (split.calibration->count() < kFewImages) {
    evaluation.warnings.push_back(fmt::format(
        "the means are of {} only: too few to say how constant anything is (--calibration)",
        split.calibration->count() == 1 ? "one image"
                                        : fmt::format("{} images", split.calibration->count())));
  }

  if (config.vision.registers == 0) {
    result.test_time =
        run_test_time(model, split, options.test_time, options.run, progress, evaluation);
    return result;
  }
  VariantList variants(labels, config);
  const auto means = std::make_shared<const RegisterMeans>(result.registers);
  variants.add("fix-reg-mean", means);
  if (given) {
    result.comparison = compare(*given, *means, options.means);
    variants.add("fix-reg-mean, given", given);
  }
  variants.add("registers zero", nullptr);
  for (int block = 0; options.each_layer && block < config.layers; ++block) {
    variants.add(fmt::format("before layer {}", block + 1), means, block);
  }
  const auto meter = image_meter(split);
  run_variants(model, *meter, variants.take(), options.run, progress, evaluation);
  return result;
}

}  // namespace massact
