#include "massact/io/gguf_metadata.h"

#include <array>
#include <limits>
#include <type_traits>
#include <utility>

namespace massact {
namespace {

constexpr std::size_t kLongestKey = 255;

// Keys go into error texts and onto terminals.
bool is_printable(std::string_view text) {
  for (const char c : text) {
    if (c <= 0x20 || c >= 0x7f) return false;
  }
  return true;
}

template <typename T>
struct IsVector : std::false_type {};
template <typename T>
struct IsVector<std::vector<T>> : std::true_type {};

template <typename T, typename Stored>
T to_integer(Stored value, const std::string& where) {
  require(std::in_range<T>(value), where, "expected a whole number in [{}, {}], got {}",
          std::numeric_limits<T>::min(), std::numeric_limits<T>::max(), value);
  return static_cast<T>(value);
}

}  // namespace

GgufMetadata::Type GgufMetadata::read_type(ByteCursor& cursor, std::string_view key) {
  const auto type = cursor.read<std::uint32_t>("a metadata type");
  require(type <= static_cast<std::uint32_t>(Type::f64), cursor.where(),
          "expected {} to have a metadata type of at most {}, got {}", key,
          static_cast<std::uint32_t>(Type::f64), type);
  return static_cast<Type>(type);
}

std::size_t GgufMetadata::size_of(Type type) {
  static constexpr std::array<std::size_t, 13> kSizes = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  return kSizes[static_cast<std::size_t>(type)];
}

std::string_view GgufMetadata::name_of(Type type) {
  static constexpr std::array<std::string_view, 13> kNames = {
      "u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
      "bool", "string", "array", "u64", "i64", "f64"};
  return kNames[static_cast<std::size_t>(type)];
}

void GgufMetadata::skip_elements(ByteCursor& cursor, const Field& field, std::string_view key) {
  if (field.type == Type::string) {
    // Every string takes 8 bytes at least: the count is checked before walking over them.
    require(field.count <= cursor.remaining() / sizeof(std::uint64_t), cursor.where(),
            "expected {} strings for {}, got {} bytes up to the end", field.count, key,
            cursor.remaining());
    for (std::uint64_t i = 0; i < field.count; ++i) cursor.read_string(key);
    return;
  }
  require(field.count <= cursor.remaining() / size_of(field.type), cursor.where(),
          "expected {} elements of {} for {}, got {} bytes up to the end", field.count,
          name_of(field.type), key, cursor.remaining());
  cursor.skip(field.count * size_of(field.type), key);
}

GgufMetadata::GgufMetadata(std::shared_ptr<const MappedFile> file, ByteCursor& cursor,
                           std::uint64_t count)
    : file_(std::move(file)) {
  // A pair takes 13 bytes at least.
  require(count <= cursor.remaining() / 13, cursor.where(),
          "expected a metadata count that fits the file, got {} in {} bytes", count,
          cursor.remaining());
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::string_view key = cursor.read_string("a metadata key");
    require(!key.empty() && key.size() <= kLongestKey && is_printable(key), cursor.where(),
            "expected metadata keys of 1 to {} printable characters, got another before byte {}",
            kLongestKey, cursor.offset());
    Field field;
    field.type = read_type(cursor, key);
    if (field.type == Type::array) {
      field.is_array = true;
      field.type = read_type(cursor, key);
      field.count = cursor.read<std::uint64_t>(key);
      require(field.type != Type::array, cursor.where(),
              "expected {} to be an array of plain values, got nested arrays", key);
    }
    field.offset = cursor.offset();
    skip_elements(cursor, field, key);
    require(fields_.emplace(key, field).second, cursor.where(),
            "expected each metadata key once, got {} twice", key);
  }
}

const GgufMetadata::Field& GgufMetadata::at(std::string_view key) const {
  const auto found = fields_.find(key);
  require(found != fields_.end(), where(key), "expected this metadata key, got none");
  return found->second;
}

std::vector<std::string> GgufMetadata::keys() const {
  std::vector<std::string> names;
  names.reserve(fields_.size());
  for (const auto& [key, field] : fields_) names.push_back(key);
  return names;
}

std::string GgufMetadata::where(std::string_view key) const {
  return fmt::format("{}: {}", file_->path().string(), key);
}

template <typename T>
T GgufMetadata::read_element(ByteCursor& cursor, Type type, const std::string& place) const {
  const auto number = [&](auto stored) -> T {
    using Stored = decltype(stored);
    if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, std::string>) {
      fail(place, "expected a {}, got {}", std::is_same_v<T, bool> ? "bool" : "string",
           name_of(type));
    } else if constexpr (std::is_floating_point_v<T>) {
      return static_cast<T>(stored);
    } else if constexpr (std::is_floating_point_v<Stored>) {
      fail(place, "expected a whole number, got {}", stored);
    } else {
      return to_integer<T>(stored, place);
    }
  };
  switch (type) {
    case Type::u8:
      return number(cursor.read<std::uint8_t>(place));
    case Type::i8:
      return number(cursor.read<std::int8_t>(place));
    case Type::u16:
      return number(cursor.read<std::uint16_t>(place));
    case Type::i16:
      return number(cursor.read<std::int16_t>(place));
    case Type::u32:
      return number(cursor.read<std::uint32_t>(place));
    case Type::i32:
      return number(cursor.read<std::int32_t>(place));
    case Type::u64:
      return number(cursor.read<std::uint64_t>(place));
    case Type::i64:
      return number(cursor.read<std::int64_t>(place));
    case Type::f32:
      return number(cursor.read<float>(place));
    case Type::f64:
      return number(cursor.read<double>(place));
    case Type::boolean:
      if constexpr (std::is_same_v<T, bool>) return cursor.read<std::uint8_t>(place) != 0;
      break;
    case Type::string:
      if constexpr (std::is_same_v<T, std::string>) return T(cursor.read_string(place));
      break;
    case Type::array:
      break;
  }
  fail(place, "expected a {}, got a {}",
       std::is_same_v<T, bool> ? "bool" : (std::is_same_v<T, std::string> ? "string" : "number"),
       name_of(type));
}

template <typename T>
T GgufMetadata::get(std::string_view key) const {
  const Field& field = at(key);
  const std::string place = where(key);
  require(field.is_array == IsVector<T>::value, place, "expected {}, got {} of {}",
          field.is_array ? "one value" : "an array", field.is_array ? "an array" : "one value",
          name_of(field.type));
  ByteCursor cursor(file_->bytes(), place);
  cursor.skip(field.offset, key);
  if constexpr (IsVector<T>::value) {
    T values;
    values.reserve(field.count);
    for (std::uint64_t i = 0; i < field.count; ++i) {
      values.push_back(read_element<typename T::value_type>(cursor, field.type, place));
    }
    return values;
  } else {
    return read_element<T>(cursor, field.type, place);
  }
}

template bool GgufMetadata::get<bool>(std::string_view) const;
template int GgufMetadata::get<int>(std::string_view) const;
template std::int64_t GgufMetadata::get<std::int64_t>(std::string_view) const;
template std::uint64_t GgufMetadata::get<std::uint64_t>(std::string_view) const;
template float GgufMetadata::get<float>(std::string_view) const;
template double GgufMetadata::get<double>(std::string_view) const;
template std::string GgufMetadata::get<std::string>(std::string_view) const;
template std::vector<std::int64_t> GgufMetadata::get<std::vector<std::int64_t>>(
    std::string_view) const;
template std::vector<float> GgufMetadata::get<std::vector<float>>(std::string_view) const;
template std::vector<std::string> GgufMetadata::get<std::vector<std::string>>(
    std::string_view) const;

}  // namespace massact
