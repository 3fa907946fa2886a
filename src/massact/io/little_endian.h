// Unaligned little-endian numbers in untrusted bytes. massact runs on little-endian machines only.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

namespace massact {

static_assert(std::endian::native == std::endian::little);

/// The number of type T at byte `offset`, which must be inside `bytes`.
template <typename T>
T load_little_endian(std::span<const std::byte> bytes, std::size_t offset) {
  static_assert(std::is_arithmetic_v<T>);
  T value;
  std::memcpy(&value, bytes.subspan(offset, sizeof(T)).data(), sizeof(T));
  return value;
}

}  // namespace massact
