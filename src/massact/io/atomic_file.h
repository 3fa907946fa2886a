// Files that appear whole or not at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

#include "massact/io/file_descriptor.h"

namespace massact {

/// Writes to a temporary file in the target's directory and renames it over the target on
/// `commit()`. Without a commit nothing is left of it and the target stays as it was; where the
/// file system can hold a file without a name (O_TMPFILE), that is so even if the process is
/// killed. A target that is a symbolic link stands for what it points to. All failures (no
/// directory, no permission, full disk, a target that is a device or a pipe) throw Error naming the
/// target.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path target);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Claims `bytes` of disk, so that a full disk shows now rather than after hours of writing.
  void reserve(std::uint64_t bytes);
  /// Writes at a byte offset. May be called from several threads for ranges that do not overlap.
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes);
  /// Writes behind everything appended before. From one thread.
  void append(std::span<const std::byte> bytes);
  void append(std::string_view text);
  /// Makes the file durable and visible under its name. Call once, last.
  void commit();

 private:
  void open_temporary();
  [[noreturn]] void fail_write(std::string_view doing) const;

  std::filesystem::path target_;
  std::filesystem::path temporary_;
  bool has_name_ = false;  // the temporary file, in its directory
  FileDescriptor file_;
  std::uint64_t appended_ = 0;
};

/// Replaces the contents of `path` by `text`, atomically.
void write_file_atomically(const std::filesystem::path& path, std::string_view text);

}  // namespace massact
