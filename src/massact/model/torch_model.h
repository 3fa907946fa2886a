// Models that are one PyTorch checkpoint: nanoGPT's `ckpt.pt` says in itself what it is.
#pragma once

#include <filesystem>

#include "massact/model/config.h"
#include "massact/model/weight_table.h"

namespace massact {

struct TorchModel {
  ModelConfig config;
  BoundWeights weights;
  std::vector<std::string> notes;  ///< what was found in the files, in words
};

/// Opens a `.pt`, `.pth` or `.bin` checkpoint. The architecture comes from `config.json` beside it
/// if there is one, else from the options that nanoGPT and its relatives save with the weights
/// ("model_args" or "config"). Throws Error that says what the file holds instead.
/// `adapter` is a LoRA adapter's directory to be merged, or empty.
TorchModel open_torch_model(const std::filesystem::path& path,
                            const std::filesystem::path& adapter);

/// True if the file is a PyTorch checkpoint (which may be called `.bin` like other formats).
bool is_torch_checkpoint(const std::filesystem::path& path);

}  // namespace massact
