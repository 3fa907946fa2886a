// Reading the files that a Corpus is made of.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace massact {

/// A text and the memory that it lies in.
struct LoadedText {
  std::shared_ptr<const void> storage;
  std::string_view text;
};

/// A text file, mapped; "-" is standard input; the documents of a .jsonl file joined by spaces.
/// Throws Error naming the file (and line) if it cannot be read.
LoadedText load_text(const std::filesystem::path& path);

/// One stream of token ids per row (a .bin and a 1-D .npy have one).
using TokenRows = std::vector<std::vector<std::int64_t>>;

/// Reads a token file; of a .bin no more than `wanted` tokens.
TokenRows load_tokens(const std::filesystem::path& path, std::int64_t wanted);

/// The sources of a text in words: "a.txt, b.txt"; rows of one token file as "t.npy (32 rows)".
std::string list_sources(std::span<const std::string> names);

}  // namespace massact
