// The small real models that the program's tests run on.
#pragma once

#include <filesystem>
#include <string>

#include "cli/program.h"

namespace massact::testing {

inline const std::filesystem::path kGolden = MASSACT_SOURCE_DIR "/tests/golden";
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

/// ../shared, or empty.
inline std::filesystem::path shared_data() {
  const char* variable = std::getenv("MASSACT_SHARED");
  const std::filesystem::path shared = variable != nullptr && *variable != '\0'
                                           ? std::filesystem::path(variable)
                                           : std::filesystem::path(MASSACT_SOURCE_DIR "/../shared");
  return std::filesystem::exists(shared / "data") ? shared / "data" : std::filesystem::path();
}

}  // namespace massact::testing
