// Test-time registers (Jiang et al., "Vision Transformers Don't Need Trained Registers", arXiv
// 2506.08010): in a vision model without registers a few neurons write the vectors of the patches
// that are far longer than all others. What they write is moved to a token that nobody trained, and
// measured is what becomes of those patches, of attention, and of the model's answers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "massact/base/progress.h"
#include "massact/eval/perplexity.h"
#include "massact/observe/outlier_patches.h"
#include "massact/study/ablate.h"

namespace massact {

/// How neurons are ranked, over the calibration images that have outliers.
enum class NeuronRank : std::uint8_t {
  /// How much longer a vector it writes at outliers than at other patches:
  /// (mean |activation| at outliers − elsewhere) · ‖its column of the output weights‖.
  contribution,
  activation  ///< mean |activation| at outliers, as published
};

struct TestTimeOptions {
  std::int64_t neurons = 0;  ///< how many are moved; 0: chosen on the calibration images
  std::int64_t tokens = 1;   ///< added
  observe::OutlierRule rule = {};
  int outlier_layer = 0;  ///< behind which outliers are looked for; 0: where they stand out most
  int last_layer = 0;     ///< of the neurons; 0: the first with half of the outliers
  NeuronRank rank = NeuronRank::contribution;
  std::uint64_t seed = 0;  ///< of the control's neurons
};

/// Patches behind a layer; means over calibration images.
struct OutlierLayer {
  int layer = 0;
  double median = 0.0, largest = 0.0;  ///< ‖h‖₂
  double ratio = 0.0;                  ///< of the largest to the median
  double outliers = 0.0;               ///< per image
  double kept = 0.0;  ///< share of the outliers behind the outlier layer that are outliers here
};

struct RegisterNeuron {
  int layer = 0;  ///< counts from 1
  std::int64_t neuron = 0;
  double at_outliers = 0.0, elsewhere = 0.0;  ///< mean |activation|
  double column = 0.0;                        ///< ‖its column of the output weights‖
  double contribution = 0.0;
};

/// What moving so many neurons does to the calibration images, behind the outlier layer.
struct NeuronSweep {
  std::int64_t neurons = 0;
  double outliers = 0.0, largest = 0.0;  ///< means over images
};

/// Attention behind the last of the neurons' layers: means over images, layers and heads.
struct OutlierAttentionMeasures {
  eval::Estimate outliers;       ///< to the patches that are outliers in what a layer reads
  eval::Estimate largest_patch;  ///< to the patch that gets most
  eval::Estimate added;          ///< to the added tokens
};

/// One variant behind the outlier layer, on the evaluation images.
struct OutlierMeasures {
  std::string name;
  eval::Estimate largest;                                         ///< norm of a patch
  eval::Estimate outliers;                                        ///< per image
  eval::Estimate added;                                           ///< norm of the added token
  std::optional<eval::Estimate> largest_change, outliers_change;  ///< paired with the original
  std::optional<OutlierAttentionMeasures> attention;  ///< none: no layer follows the neurons
};

struct TestTimeResult {
  TestTimeOptions options;
  std::int64_t images = 0, images_with_outliers = 0;  ///< of the calibration images
  int outlier_layer = 0;
  int last_layer = 0;
  bool first_query = true;  ///< attention is the class token's; else the mean over all tokens
  std::vector<OutlierLayer> layers;
  std::vector<RegisterNeuron> neurons;  ///< those moved, the first in rank first; none: no outlier
  std::vector<RegisterNeuron> control;  ///< as many others of the same layers (place only)
  std::vector<NeuronSweep> sweep;       ///< if the number was chosen; 0 neurons: the original
  std::vector<OutlierMeasures> variants;
};

/// False for models with registers of their own, for those that cannot be given a token, and for
/// those whose MLPs show no neurons.
bool takes_test_time_registers(const Model& model);

/// Throws UsageError for layers, neurons and tokens that are not there, before anything is
/// computed.
void check_test_time(const Model& model, const ImageSplit& split, const TestTimeOptions& options);

/// Finds outliers and neurons on the calibration images and measures on the others: the original,
/// the token alone, test-time registers, the neurons at zero without a token, the control. The
/// first `result.rows` and facts come from it. Throws as check_test_time.
TestTimeResult run_test_time(const Model& model, const ImageSplit& split,
                             const TestTimeOptions& options, const RunOptions& run,
                             Progress& progress, AblateResult& result);

}  // namespace massact
