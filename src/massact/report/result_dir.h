// The directory of `--out`: whose results it holds, and writing all files of a result or none.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace massact {

/// The largest result file that is read back.
inline constexpr std::uint64_t kMaxResultBytes = std::uint64_t{1} << 30;

struct ResultFile {
  std::string name;  ///< "scan.json"
  std::string text;
};

/// A directory into which commands write what they found.
class ResultDir {
 public:
  /// Checks `path` without touching it, so that a wrong one shows before hours of work. Throws
  /// Error if it is a file, cannot be written to, or holds the result of a model with another hash
  /// (or JSON files named as results that cannot be read) and `force` is not set.
  ResultDir(std::filesystem::path path, std::string_view model_hash, bool force);

  /// Writes all files aside and then renames them, the last one last: put the file that makes the
  /// result whole at the end. Creates the directory. Throws Error and leaves what was there before
  /// if any of them cannot be written.
  void write(const std::vector<ResultFile>& files) const;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace massact
