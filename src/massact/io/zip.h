// The directory of a zip archive: enough to map entries that are stored without compression, as
// torch.save writes tensors. Format: PKWARE's APPNOTE.TXT 6.3, with zip64.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>

namespace massact {

/// Where an entry's bytes are in the file.
struct ZipEntry {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;  ///< in the file
  int method = 0;          ///< 0: stored; else compressed, and of no use here

  /// Throws Error naming `where` (the entry) if it is compressed.
  void require_stored(const std::string& where) const;
};

/// True if the file begins as a zip archive does.
bool looks_like_zip(std::span<const std::byte> file);

/// All entries by name, with their places checked: inside the file, apart from each other,
/// unencrypted, every name once and the same in both headers. Check sums are not
/// verified: that would read the whole file. Throws Error naming `where` and the entry.
std::map<std::string, ZipEntry, std::less<>> read_zip_directory(std::span<const std::byte> file,
                                                                const std::string& where);

}  // namespace massact
