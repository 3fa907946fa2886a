// LoRA adapters of PEFT (arXiv 2106.09685), merged into a base model's weights as they are read.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "massact/io/weight_source.h"

namespace massact {

struct MergedAdapter {
  std::shared_ptr<const WeightSource> weights;
  std::string note;  ///< what was merged, in words
};

/// The weights of `base`, which must go by Hugging Face's names, with the adapter in `directory`
/// (`adapter_config.json` with `adapter_model.safetensors` or `.bin`) merged: W + s · B · A with
/// s = alpha / r, or alpha / √r (rank-stabilised). Nothing is merged before it is read, so a block
/// is merged when it is packed. Tensors that the adapter saved whole (modules_to_save, biases)
/// replace the base's. Throws Error that names the file, field or tensor for another kind of
/// adapter, DoRA, a tensor that fits nothing in the base, or other shapes.
MergedAdapter merge_adapter(std::shared_ptr<const WeightSource> base,
                            const std::filesystem::path& directory);

}  // namespace massact
