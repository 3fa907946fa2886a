// Quantised Hugging Face checkpoints, given as the floating-point weights that they stand for.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "massact/io/json.h"
#include "massact/io/weight_source.h"

namespace massact {

/// One weight in a packed form. Immutable; thread-safe.
class QuantizedTensor {
 public:
  virtual ~QuantizedTensor() = default;

  /// Its name and shape as a weight of floats; `viewable` is false, `bytes` is what its parts take.
  TensorInfo info;
  /// The tensors of the file that it is made of.
  std::vector<std::string> parts;

  /// The values of row `row` of [rows, info.shape.back()], leading axes flattened.
  virtual void read_row(std::int64_t row, float* out) const = 0;
};

/// The weights of `files`, with every quantised one replaced by the weight it stands for: values
/// are computed whenever they are read, so that packing a block dequantises it. `config` is
/// config.json's "quantization_config". Formats: "fp8" (E4M3, block-scaled by `weight_scale_inv`),
/// "gptq" and "awq" (2, 4 or 8 bits; 4 bits), "bitsandbytes" (nf4 and fp4), "mxfp4". Activations
/// are never quantised. Throws Error that names the field or tensor for an unknown method and for
/// parts whose shapes contradict each other.
std::shared_ptr<const WeightSource> dequantize(std::shared_ptr<const WeightSource> files,
                                               const JsonObject& config);

}  // namespace massact
