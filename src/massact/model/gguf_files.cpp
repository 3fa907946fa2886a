#include "massact/model/gguf_files.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "massact/base/error.h"
#include "massact/base/suggest.h"

namespace massact {
namespace {

namespace fs = std::filesystem;

bool has_gguf_extension(const fs::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return extension == ".gguf";
}

// "name-00002-of-00003" -> "name of 00003"; the stem of a file that is no part as it is.
std::string model_of(const std::string& stem) {
  constexpr std::string_view kShape = "-00000-of-00000";
  if (stem.size() <= kShape.size()) return stem;
  const std::size_t begin = stem.size() - kShape.size();
  for (std::size_t i = 0; i < kShape.size(); ++i) {
    const char c = stem[begin + i];
    const bool fits =
        kShape[i] == '0' ? std::isdigit(static_cast<unsigned char>(c)) != 0 : c == kShape[i];
    if (!fits) return stem;
  }
  return stem.substr(0, begin) + " of " + stem.substr(stem.size() - 5);
}

}  // namespace

bool is_gguf_file(const fs::path& path) {
  if (!fs::is_regular_file(path)) return false;
  if (has_gguf_extension(path)) return true;
  std::array<char, 4> magic{};
  std::ifstream(path, std::ios::binary).read(magic.data(), magic.size());
  return magic == std::array{'G', 'G', 'U', 'F'};
}

fs::path find_gguf_model(const fs::path& directory) {
  std::map<std::string, fs::path> models;  // of a split one the lowest part
  for (const auto& entry : fs::directory_iterator(directory)) {
    const fs::path& path = entry.path();
    if (!has_gguf_extension(path) || !entry.is_regular_file()) continue;
    const auto [model, added] = models.emplace(model_of(path.stem().string()), path);
    if (!added) model->second = std::min(model->second, path);
  }
  // llama.cpp's name for the projector of a multimodal model, beside its language model.
  if (models.size() > 1) {
    std::erase_if(models, [](const auto& model) { return model.first.starts_with("mmproj"); });
  }
  if (models.empty()) return {};
  std::vector<std::string> names;
  for (const auto& [model, path] : models) names.push_back(path.filename().string());
  require(names.size() == 1, directory.string(),
          "expected one model, got {} of them (open one by its path): {}", names.size(),
          list_names(names));
  return models.begin()->second;
}

}  // namespace massact
