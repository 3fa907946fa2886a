// Strict reading of untrusted JSON, and typed access whose errors name the file and the field.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace massact {

/// Deepest nesting of arrays and objects that `parse_json` accepts.
inline constexpr int kMaxJsonDepth = 64;

/// Parses one JSON document. Throws Error (with line and byte) for anything that is not exactly
/// that: syntax errors, bytes that are no UTF-8, numbers out of range, duplicate keys, nesting
/// deeper than kMaxJsonDepth, anything but white space behind the document. Never recurses.
nlohmann::json parse_json(std::string_view text, std::string_view where);

/// A regular file's contents. Throws Error if it is missing, unreadable, or larger than
/// `max_bytes`. An empty file gives an empty string.
std::string read_text_file(const std::filesystem::path& path, std::uint64_t max_bytes);

/// An object inside a JSON document that remembers where it is, so that every error reads
/// `[config.json: rope_scaling.factor] expected a number, got "x"`. Copies are cheap and keep the
/// document alive. A field that is null counts as absent.
class JsonObject {
 public:
  /// The document's top level, which must be an object. `where` is usually the file.
  JsonObject(nlohmann::json document, std::string_view where);

  /// Reads and parses a file of at most `max_bytes`.
  static JsonObject from_file(const std::filesystem::path& path, std::uint64_t max_bytes);

  /// True if the field is there and not null.
  bool has(std::string_view name) const { return find(name) != nullptr; }

  /// The field as T: bool, int, std::int64_t, std::uint64_t, float, double, std::string,
  /// or a std::vector of std::int64_t, double or std::string. Throws Error if it is absent, of
  /// another type, or (integers) not a whole number in T's range.
  template <typename T>
  T get(std::string_view name) const;

  /// As `get`, but `otherwise` if the field is absent.
  template <typename T>
  T get_or(std::string_view name, T otherwise) const {
    return has(name) ? get<T>(name) : std::move(otherwise);
  }

  /// The object in field `name`.
  JsonObject object(std::string_view name) const;

  /// The field's JSON, or null pointer if absent. Valid while this object or a copy lives.
  const nlohmann::json* find(std::string_view name) const;

  /// All keys, sorted; null fields included.
  std::vector<std::string> keys() const;

  /// "config.json: rope_scaling.factor" for field "factor" of this object; for own errors.
  std::string where(std::string_view name) const;

 private:
  JsonObject(std::shared_ptr<const nlohmann::json> value, std::string prefix)
      : value_(std::move(value)), prefix_(std::move(prefix)) {}
  const nlohmann::json& at(std::string_view name) const;

  std::shared_ptr<const nlohmann::json> value_;
  std::string prefix_;  // what `where` puts before a field's name
};

/// A JSON value in a few words for error texts: `"x"`, `12`, `an array`, ….
std::string describe_json(const nlohmann::json& value);

}  // namespace massact
