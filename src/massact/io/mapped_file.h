// A file mapped into memory, read-only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

#include "massact/io/file_descriptor.h"

namespace massact {

/// A regular file's bytes, mapped privately and read-only: nothing is read until it is touched.
/// Thread-safe. The file must not shrink while it is mapped (as for every mapping, touching pages
/// beyond the new end would be fatal).
class MappedFile {
 public:
  /// Throws Error if `path` is missing, unreadable, a directory, no regular file, or empty.
  static std::shared_ptr<const MappedFile> open(const std::filesystem::path& path);

  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return bytes_; }
  const std::filesystem::path& path() const { return path_; }

  /// Copies bytes [offset, offset + out.size()) without mapping their pages. Throws Error if the
  /// file does not give them (any more).
  void copy(std::uint64_t offset, std::span<std::byte> out) const;

  /// Has bytes [offset, offset + count) read into the system's cache and waits until they are
  /// there. They take no memory of this process yet. Never fails.
  void will_need(std::uint64_t offset, std::uint64_t count) const;

  /// Gives back the memory of the whole pages inside [offset, offset + count); they are read again
  /// if they are touched again. Only a hint; never fails.
  void release(std::uint64_t offset, std::uint64_t count) const;

 private:
  MappedFile(std::filesystem::path path, FileDescriptor file, std::span<const std::byte> bytes)
      : path_(std::move(path)), file_(std::move(file)), bytes_(bytes) {}

  std::filesystem::path path_;
  FileDescriptor file_;
  std::span<const std::byte> bytes_;
};

}  // namespace massact
