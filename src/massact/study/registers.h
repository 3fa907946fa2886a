// Registers of vision transformers: where the constant of attention lives that massive activations
// are in models without them. Their means before every block, and the test that the means are all
// they are: Fix-Reg-Mean (arXiv 2402.17762, section 5). Models without registers get one at test
// time (test_time.h).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "massact/study/ablate.h"
#include "massact/study/test_time.h"

namespace massact {

/// A vector for each register at the input of every block (blocks.i.hook_resid_pre).
struct RegisterMeans {
  std::int64_t blocks = 0;
  std::int64_t registers = 0;
  std::int64_t width = 0;
  std::vector<float> values;  ///< [blocks, registers, width]

  const float* at(std::int64_t block, std::int64_t reg) const {
    return values.data() + (block * registers + reg) * width;
  }
};

/// Reads means: a .safetensors as `write_register_means` writes it, or a PyTorch file with a dict
/// from block (0-based) to a tensor [registers, width], as the paper's authors publish. Throws
/// Error that names the file and what does not fit the model.
RegisterMeans read_register_means(const std::filesystem::path& path, const ModelConfig& config);

/// One kind of token at the input of one block, over images.
struct TokenNorms {
  std::string token;         ///< "cls", "register 0", "patch"
  double norm = 0.0;         ///< mean over images (and patches) of the length ‖h‖
  double largest = 0.0;      ///< the largest ‖h‖
  double mean_length = 0.0;  ///< ‖mean of h‖; of patches 0
  /// √(E‖h − mean‖²) / ‖mean‖ over images: 0 is a constant. Of patches 0.
  double scatter = 0.0;
};

struct RegisterLayer {
  int block = 0;  ///< the layer that reads them, as users count: from 1
  std::vector<TokenNorms> tokens;
};

/// How means from a file differ from those measured here.
struct MeansComparison {
  std::string file;
  std::vector<double> cosines;  ///< [blocks * registers]
  double least_cosine = 1.0;
  double largest_difference = 0.0;  ///< of ‖a − b‖ / ‖b‖, b measured here
};

struct RegistersResult {
  RegisterMeans cls;        ///< class tokens, in the same form
  RegisterMeans registers;  ///< without values if the model has none
  std::vector<RegisterLayer> layers;
  std::optional<MeansComparison> comparison;
  std::optional<TestTimeResult> test_time;  ///< of models without registers
  /// Variants and their measures; `targets` and verdicts about findings are not used.
  AblateResult evaluation;
};

/// Writes `registers` and `cls`, each [blocks, tokens, width].
void write_register_means(const std::filesystem::path& path, const RegistersResult& result);

struct RegistersOptions {
  RunOptions run;
  std::filesystem::path means;  ///< a file to compare with and to evaluate as well; empty: none
  bool each_layer = false;      ///< also fix the registers before each block alone
  TestTimeOptions test_time = {};
};

/// Means over the calibration images; then, on the others, the registers overwritten by them before
/// every block, and by zero for comparison. Of a model without registers: test-time registers.
RegistersResult run_registers(const Model& model, const ImageSplit& split,
                              const RegistersOptions& options, Progress& progress);

}  // namespace massact
