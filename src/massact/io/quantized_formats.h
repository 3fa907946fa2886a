// One function per format: finds its weights in a file. Not for other rooms.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "massact/io/quantized_weights.h"

namespace massact {

using QuantizedTensors = std::vector<std::unique_ptr<QuantizedTensor>>;

/// DeepSeek's and Qwen's FP8: X.weight in E4M3, times X.weight_scale_inv per block of
/// "weight_block_size".
QuantizedTensors find_fp8(const WeightSource& files, const JsonObject& config);
/// GPTQ: X.qweight, X.qzeros, X.scales and X.g_idx, packed along the inputs.
QuantizedTensors find_gptq(const WeightSource& files, const JsonObject& config);
/// AWQ ("gemm"): X.qweight, X.qzeros, X.scales, packed along the outputs in AWQ's order.
QuantizedTensors find_awq(const WeightSource& files, const JsonObject& config);
/// bitsandbytes 4-bit: X.weight with X.weight.absmax, .quant_map and .quant_state.….
QuantizedTensors find_bitsandbytes(const WeightSource& files, const JsonObject& config);
/// gpt-oss's experts: X_blocks and X_scales, 32 values of E2M1 per power of two.
QuantizedTensors find_mxfp4(const WeightSource& files, const JsonObject& config);

/// A view of a tensor that must be there with this type and shape; notes it as a part of `tensor`.
TensorView part_of(QuantizedTensor& tensor, const WeightSource& files, const std::string& name,
                   DType type, const Shape& shape);

/// The names X of all tensors called X + `ending`.
std::vector<std::string> stems(const WeightSource& files, std::string_view ending);

}  // namespace massact
