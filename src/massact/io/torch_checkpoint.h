// PyTorch checkpoints (torch.save since 1.6, torch.jit.save): a zip archive with a pickle and one
// stored entry per storage. Read as data with a restricted unpickler (pickle.h); tensors stay in
// the mapped file.
#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "massact/io/weight_source.h"

namespace massact {

struct TorchCheckpoint {
  /// The tensors of the state dict, without the wrappers' prefixes "module." and "_orig_mod.".
  /// Contiguous tensors can be viewed in the mapped file; others (transposed weights) can be read.
  std::unique_ptr<WeightSource> weights;
  /// The key under which the state dict lies ("model"); "" if it is the whole file.
  std::string state_key;
  /// Plain values beside it (numbers, texts, lists and dicts of them one level deep): "model_args",
  /// "iter_num", ….
  nlohmann::json values = nlohmann::json::object();
  /// The file is a TorchScript program: `weights` are the tensors of its modules, nothing else of
  /// it is read.
  bool is_script = false;
  /// The file's other keys, each with why it is not used.
  std::vector<std::pair<std::string, std::string>> ignored;
};

/// Opens a `.pt`, `.pth` or `pytorch_model.bin`. The state dict is the dict of tensors under `key`;
/// an empty `key` means one of the usual names ("state_dict", "model", …), else the file's top
/// level if it holds tensors, else the only dict of tensors in it. Throws Error that names the file
/// and what is wrong: a global or opcode that is not whitelisted, PyTorch's legacy format,
/// compressed or overlapping entries, tensors outside of their storage.
TorchCheckpoint open_torch_checkpoint(const std::filesystem::path& path, std::string_view key = "");

/// `pytorch_model.bin.index.json`: all shards, under the names of the index.
std::unique_ptr<WeightSource> open_torch_shards(const std::filesystem::path& index);

}  // namespace massact
