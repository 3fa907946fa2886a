// Models that are one PyTorch file.
#pragma once

#include <cstdint>
#include <filesystem>

#include "massact/model/config.h"
#include "massact/model/weight_table.h"

namespace massact {

struct TorchModel {
  ModelConfig config;
  BoundWeights weights;
  std::vector<std::string> notes;  ///< what was found in the files, in words
};

/// Of a file that holds two: the image tower, or the text tower.
enum class Tower : std::uint8_t { main, text };

/// Opens a `.pt`, `.pth` or `.bin` checkpoint. The architecture comes from `config.json` beside it
/// if there is one, else from the options that nanoGPT and its relatives save with the weights
/// ("model_args" or "config"), the name of one of Meta's DINOv2 files, or the shapes of OpenAI's
/// CLIP (a TorchScript archive) or Meta's SAM. Throws Error that says what the file holds instead.
/// `adapter` is a LoRA adapter's directory to be merged, or empty. Of two towers `tower` is opened.
TorchModel open_torch_model(const std::filesystem::path& path, const std::filesystem::path& adapter,
                            Tower tower = Tower::main);

/// True if the file is a PyTorch checkpoint (which may be called `.bin` like other formats).
bool is_torch_checkpoint(const std::filesystem::path& path);

}  // namespace massact
