// Reading an untrusted byte string from front to back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "massact/base/error.h"
#include "massact/io/little_endian.h"

namespace massact {

/// A position in bytes that somebody else owns. Every step checks that the bytes are there and
/// throws an Error naming the file, what was being read, and the offset.
class ByteCursor {
 public:
  ByteCursor(std::span<const std::byte> bytes, std::string where)
      : bytes_(bytes), where_(std::move(where)) {}

  std::uint64_t offset() const { return offset_; }
  std::uint64_t remaining() const { return bytes_.size() - offset_; }
  const std::string& where() const { return where_; }

  /// The little-endian number here.
  template <typename T>
  T read(std::string_view what) {
    const std::uint64_t at = skip(sizeof(T), what);
    return load_little_endian<T>(bytes_, at);
  }

  /// The string here: a 64-bit length and as many bytes. Points into the bytes.
  std::string_view read_string(std::string_view what) {
    const auto length = read<std::uint64_t>(what);
    const std::uint64_t at = skip(length, what);
    return {reinterpret_cast<const char*>(bytes_.data()) + at, length};
  }

  /// Steps over `count` bytes and gives the offset where they begin.
  std::uint64_t skip(std::uint64_t count, std::string_view what) {
    require(count <= remaining(), where_,
            "expected {} bytes for {} at byte {}, got {} up to the end (truncated?)", count, what,
            offset_, remaining());
    const std::uint64_t at = offset_;
    offset_ += count;
    return at;
  }

 private:
  std::span<const std::byte> bytes_;
  std::string where_;
  std::uint64_t offset_ = 0;
};

}  // namespace massact
