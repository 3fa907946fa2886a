// The small real models that the program's tests run on.
#pragma once

#include <filesystem>
#include <string>

#include "cli/program.h"
#include "paths.h"

namespace massact::testing {

using testing_support::shared_data;
using testing_support::source_folder;

inline const std::filesystem::path kGolden = testing_support::golden_folder();
inline const std::filesystem::path kPlanted = kGolden / "models/planted";
inline const std::filesystem::path kText = kGolden / "texts/harbour.txt";

/// A copy of the planted model in this test's folder, to be damaged.
inline std::filesystem::path copy_of_planted(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder / "model");
  for (const char* name :
       {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}) {
    std::filesystem::copy_file(kPlanted / name, folder / "model" / name);
  }
  return folder / "model";
}

}  // namespace massact::testing
