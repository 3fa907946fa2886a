#include "massact/io/zip.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "massact/io/byte_cursor.h"

namespace massact {
namespace {

constexpr std::uint32_t kLocalHeader = 0x04034b50;
constexpr std::uint32_t kCentralHeader = 0x02014b50;
constexpr std::uint32_t kEnd = 0x06054b50;
constexpr std::uint32_t kEnd64 = 0x06064b50;
constexpr std::uint32_t kEnd64Locator = 0x07064b50;
constexpr std::uint64_t kEndBytes = 22, kEnd64Bytes = 56, kLocatorBytes = 20;
constexpr std::uint64_t kCentralBytes = 46, kLocalBytes = 30;
constexpr std::uint64_t kLongestComment = 0xffff;
constexpr std::uint32_t kIn64 = 0xffffffff;  // the number is in the zip64 field
constexpr std::uint16_t kZip64Field = 1;
constexpr std::uint16_t kEncrypted = 1;

using Bytes = std::span<const std::byte>;

struct Directory {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  std::uint64_t entries = 0;
};

struct CentralEntry {
  std::string name;
  std::uint64_t header = 0;  // of the local header
  std::uint64_t size = 0;    // in the file
  int method = 0;
};

ByteCursor cursor_at(Bytes file, std::uint64_t offset, const std::string& where,
                     std::string_view what) {
  ByteCursor cursor(file, where);
  cursor.skip(offset, what);
  return cursor;
}

// The end record is the last one in the file; only a comment may follow it.
std::uint64_t find_end(Bytes file, const std::string& where) {
  require(file.size() >= kEndBytes, where, "expected a zip archive, got {} bytes", file.size());
  const std::uint64_t last = file.size() - kEndBytes;
  const std::uint64_t first = last - std::min(last, kLongestComment);
  for (std::uint64_t at = last + 1; at-- > first;) {
    if (load_little_endian<std::uint32_t>(file, at) != kEnd) continue;
    const auto comment = load_little_endian<std::uint16_t>(file, at + kEndBytes - 2);
    if (at + kEndBytes + comment == file.size()) return at;
  }
  fail(where, "expected a zip archive's directory at the end, found none (truncated?)");
}

// The zip64 end record, if a locator stands before the end record.
std::optional<Directory> read_end64(Bytes file, std::uint64_t end, const std::string& where) {
  if (end < kLocatorBytes) return std::nullopt;
  const std::uint64_t locator = end - kLocatorBytes;
  if (load_little_endian<std::uint32_t>(file, locator) != kEnd64Locator) return std::nullopt;
  const auto at = load_little_endian<std::uint64_t>(file, locator + 8);
  require(at <= locator && locator - at >= kEnd64Bytes, where,
          "expected the zip64 end record before byte {}, got offset {}", locator, at);
  auto cursor = cursor_at(file, at, where, "the zip64 end record");
  require(cursor.read<std::uint32_t>("the zip64 end record") == kEnd64, where,
          "expected a zip64 end record at byte {}", at);
  cursor.skip(8 + 2 + 2 + 4 + 4 + 8, "the zip64 end record");
  Directory directory;
  directory.entries = cursor.read<std::uint64_t>("the number of entries");
  directory.size = cursor.read<std::uint64_t>("the directory's size");
  directory.offset = cursor.read<std::uint64_t>("the directory's offset");
  return directory;
}

Directory locate_directory(Bytes file, const std::string& where) {
  const std::uint64_t end = find_end(file, where);
  Directory directory;
  if (const auto end64 = read_end64(file, end, where)) {
    directory = *end64;
  } else {
    auto cursor = cursor_at(file, end + 8, where, "the end record");
    cursor.skip(2, "the number of entries on this disk");
    directory.entries = cursor.read<std::uint16_t>("the number of entries");
    directory.size = cursor.read<std::uint32_t>("the directory's size");
    directory.offset = cursor.read<std::uint32_t>("the directory's offset");
  }
  require(directory.offset <= end && directory.size <= end - directory.offset, where,
          "expected the zip directory before byte {}, got {} bytes at {}", end, directory.size,
          directory.offset);
  require(directory.entries <= directory.size / kCentralBytes, where,
          "expected a number of entries that fits {} bytes, got {}", directory.size,
          directory.entries);
  return directory;
}

// Sizes and offsets that do not fit 32 bits stand in an extra field, in this order.
void read_zip64_field(Bytes extra, const std::string& where, std::uint64_t& size,
                      std::uint64_t& stored, std::uint64_t& header) {
  ByteCursor cursor(extra, where);
  while (cursor.remaining() >= 4) {
    const auto id = cursor.read<std::uint16_t>("an extra field");
    const auto length = cursor.read<std::uint16_t>("an extra field");
    const std::uint64_t begin = cursor.skip(length, "an extra field");
    if (id != kZip64Field) continue;
    ByteCursor field(extra.subspan(begin, length), where);
    for (std::uint64_t* number : {&size, &stored, &header}) {
      if (*number == kIn64) *number = field.read<std::uint64_t>("a zip64 number");
    }
    return;
  }
}

CentralEntry read_central_entry(ByteCursor& cursor, Bytes file) {
  const std::string& where = cursor.where();
  const auto signature = cursor.read<std::uint32_t>("a directory entry");
  require(signature == kCentralHeader, where, "expected a zip directory entry at byte {}",
          cursor.offset() - 4);
  cursor.skip(2 + 2, "a directory entry");
  const auto flags = cursor.read<std::uint16_t>("an entry's flags");
  const auto method = cursor.read<std::uint16_t>("an entry's method");
  cursor.skip(2 + 2 + 4, "a directory entry");
  std::uint64_t stored = cursor.read<std::uint32_t>("an entry's stored size");
  std::uint64_t size = cursor.read<std::uint32_t>("an entry's size");
  const auto name_length = cursor.read<std::uint16_t>("a name's length");
  const auto extra_length = cursor.read<std::uint16_t>("an extra field's length");
  const auto comment_length = cursor.read<std::uint16_t>("a comment's length");
  cursor.skip(2 + 2 + 4, "a directory entry");
  std::uint64_t header = cursor.read<std::uint32_t>("an entry's offset");
  const std::uint64_t name_at = cursor.skip(name_length, "an entry's name");
  const std::uint64_t extra_at = cursor.skip(extra_length, "an entry's extra fields");
  cursor.skip(comment_length, "an entry's comment");

  CentralEntry entry;
  entry.name.assign(reinterpret_cast<const char*>(file.data()) + name_at, name_length);
  read_zip64_field(file.subspan(extra_at, extra_length), where, size, stored, header);
  require((flags & kEncrypted) == 0, where, "expected unencrypted entries, got encrypted {}",
          entry.name);
  require(method != 0 || stored == size, where,
          "expected {} to be as long as it is stored, {} bytes, got {}", entry.name, stored, size);
  entry.size = stored;
  entry.method = method;
  entry.header = header;
  return entry;
}

// The data begin after the local header, whose name and extra fields have lengths of their own.
ZipEntry locate_data(const CentralEntry& entry, Bytes file, std::uint64_t limit,
                     const std::string& where) {
  const std::string place = where + ": " + entry.name;
  auto cursor = cursor_at(file.first(limit), entry.header, place, "the entry's header");
  require(cursor.read<std::uint32_t>("the entry's header") == kLocalHeader, place,
          "expected an entry's header at byte {}", entry.header);
  cursor.skip(kLocalBytes - 4 - 2 - 2, "the entry's header");
  const auto name_length = cursor.read<std::uint16_t>("the name's length");
  const auto extra_length = cursor.read<std::uint16_t>("the extra field's length");
  const std::uint64_t name_at = cursor.skip(name_length, "the entry's name");
  const std::string_view name(reinterpret_cast<const char*>(file.data()) + name_at, name_length);
  require(name == entry.name, place, "expected the same name in both headers");
  cursor.skip(extra_length, "the entry's extra fields");
  return {cursor.skip(entry.size, "the entry's data"), entry.size, entry.method};
}

}  // namespace

void ZipEntry::require_stored(const std::string& where) const {
  require(method == 0, where,
          "expected an entry stored without compression, as torch.save writes it, got method {} "
          "(unpack it and save it again with torch.save)",
          method);
}

bool looks_like_zip(std::span<const std::byte> file) {
  return file.size() >= 4 && load_little_endian<std::uint32_t>(file, 0) == kLocalHeader;
}

std::map<std::string, ZipEntry, std::less<>> read_zip_directory(std::span<const std::byte> file,
                                                                const std::string& where) {
  const Directory directory = locate_directory(file, where);
  auto cursor = cursor_at(file.first(directory.offset + directory.size), directory.offset, where,
                          "the zip directory");
  std::map<std::string, ZipEntry, std::less<>> entries;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> taken;  // header, end of data
  for (std::uint64_t i = 0; i < directory.entries; ++i) {
    const CentralEntry entry = read_central_entry(cursor, file);
    const ZipEntry place = locate_data(entry, file, directory.offset, where);
    require(entries.emplace(entry.name, place).second, where,
            "expected each entry once, got {} twice", entry.name);
    taken.emplace_back(entry.header, place.offset + place.size);
  }
  std::sort(taken.begin(), taken.end());
  for (std::size_t i = 1; i < taken.size(); ++i) {
    require(taken[i].first >= taken[i - 1].second, where,
            "expected entries that do not overlap, got one at byte {} while another ends at {}",
            taken[i].first, taken[i - 1].second);
  }
  return entries;
}

}  // namespace massact
