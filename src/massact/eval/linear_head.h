// Linear classifiers that come as files of their own, as DINOv2's and DINOv3's do
// (dinov2_vitb14_linear_head.pth): a state dict of one linear layer.
#pragma once

#include <filesystem>
#include <memory>

#include "massact/eval/classifier.h"

namespace massact::eval {

/// Reads `weight` [classes, k · d] and `bias` [classes] from a PyTorch file or a .safetensors. What
/// the layer reads, one behind the other, is normalised by the model's last norm:
///  - k = 2: the class token and the mean of the patches, registers left out ("linear_head");
///  - k = 5: the class token behind each of the last four layers, the last one at the end, and the
///    mean of the last layer's patches ("linear4_head").
/// Throws Error that names the file and what does not fit a model of this width with a class token.
std::shared_ptr<const Classifier> read_linear_head(const std::filesystem::path& path,
                                                   const ModelConfig& config);

}  // namespace massact::eval
