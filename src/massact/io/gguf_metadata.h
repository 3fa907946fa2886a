// The key-value pairs at the front of a GGUF file.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "massact/io/byte_cursor.h"
#include "massact/io/mapped_file.h"

namespace massact {

/// Typed access to GGUF metadata. Values stay in the mapped file until they are asked for. Copies
/// are cheap in content; thread-safe.
class GgufMetadata {
 public:
  /// Reads `count` pairs from the cursor on, which walks over `file`. Throws Error for anything
  /// that leaves the file, unknown types, nested arrays and duplicate keys.
  GgufMetadata(std::shared_ptr<const MappedFile> file, ByteCursor& cursor, std::uint64_t count);

  bool has(std::string_view key) const { return fields_.find(key) != fields_.end(); }

  /// The value as T: bool, int, std::int64_t, std::uint64_t, float, double, std::string, or a
  /// std::vector of std::int64_t, float or std::string. Integers of any width convert if they are
  /// in T's range, numbers of any kind to float and double. Throws Error naming file and key if it
  /// is absent or of another kind. Strings are bytes: nothing says that they are UTF-8.
  template <typename T>
  T get(std::string_view key) const;

  /// As `get`, but `otherwise` if the key is absent.
  template <typename T>
  T get_or(std::string_view key, T otherwise) const {
    return has(key) ? get<T>(key) : std::move(otherwise);
  }

  /// All keys, sorted.
  std::vector<std::string> keys() const;

  /// "model.gguf: llama.block_count"; for own errors.
  std::string where(std::string_view key) const;

 private:
  // Types as they are numbered in the file.
  enum class Type : std::uint32_t {
    u8,
    i8,
    u16,
    i16,
    u32,
    i32,
    f32,
    boolean,
    string,
    array,
    u64,
    i64,
    f64
  };
  struct Field {
    Type type = Type::u8;  // of the value, or of an array's elements
    bool is_array = false;
    std::uint64_t count = 1;   // elements
    std::uint64_t offset = 0;  // of the first element in the file
  };

  static Type read_type(ByteCursor& cursor, std::string_view key);
  static std::size_t size_of(Type type);
  static std::string_view name_of(Type type);
  static void skip_elements(ByteCursor& cursor, const Field& field, std::string_view key);
  const Field& at(std::string_view key) const;
  template <typename T>
  T read_element(ByteCursor& cursor, Type type, const std::string& place) const;

  std::shared_ptr<const MappedFile> file_;
  std::map<std::string, Field, std::less<>> fields_;
};

}  // namespace massact
