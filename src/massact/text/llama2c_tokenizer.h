// llama2.c's tokenizer files (`tokenizer.bin`, `tok512.bin`).
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string_view>

#include "massact/text/tokenizer.h"

namespace massact {

/// Reads a llama2.c tokenizer: int32 longest token, then per token float score, int32 length,
/// bytes, to the end of the file. Encoding as llama2.c's run.c: a space in front of a text that is
/// not empty, characters or byte tokens (ids 3 to 258), then merges by best score. BOS is 1
/// (always added), EOS 2. Throws Error naming `where` for anything malformed.
std::unique_ptr<Tokenizer> read_llama2c_tokenizer(std::span<const std::byte> bytes,
                                                  std::string_view where);

std::unique_ptr<Tokenizer> open_llama2c_tokenizer(const std::filesystem::path& path);

}  // namespace massact
