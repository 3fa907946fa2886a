// A vision transformer as a function of its parameters: HF's DINOv2, with or without registers,
// under its linear classifier. Names and layouts are those of HF's checkpoints.
#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "train/config.h"
#include "train/model.h"
#include "train/parameters.h"

namespace massact::train {

/// "dinov2." or, with registers, "dinov2_with_registers.".
std::string vit_prefix(const ModelConfig& config);

/// All parameters; registers and what the attention variant adds come last, so that models with
/// and without them start from the same other weights.
std::vector<ParameterSpec> vit_parameters(const ModelConfig& config);

/// `pixels` [B,3,S,S], normalised, S the config's image size -> logits [B,classes]: a linear map of
/// the normed CLS token and the mean of the normed patches (without registers). Tokens are CLS,
/// registers, patches row by row. Throws Error for other sizes.
at::Tensor vit_logits(const ModelConfig& config, const Parameters& parameters,
                      const at::Tensor& pixels, Trace* trace);

}  // namespace massact::train
