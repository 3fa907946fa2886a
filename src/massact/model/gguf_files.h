// Which files are GGUF models: by name, by their first bytes, and in a directory.
#pragma once

#include <filesystem>

namespace massact {

/// True for a file named .gguf in any case, and for any other regular file that begins with GGUF's
/// magic (the blobs of HF's cache have no extension).
bool is_gguf_file(const std::filesystem::path& path);

/// The GGUF model among a directory's .gguf files (the first part of a split one), or an empty path
/// if there is none. Throws Error that lists them if there are several.
std::filesystem::path find_gguf_model(const std::filesystem::path& directory);

}  // namespace massact
