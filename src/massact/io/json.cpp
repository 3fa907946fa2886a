#include "massact/io/json.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <limits>
#include <type_traits>

#include "massact/base/error.h"

namespace massact {
namespace {

using nlohmann::json;

constexpr std::size_t kLongestQuote = 80;

// File contents in an error text: control characters and invalid bytes must not reach a terminal.
std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, kLongestQuote)) out += (c >= 0x20 && c < 0x7f) ? c : '?';
  if (text.size() > kLongestQuote) out += "...";
  return out;
}

// Walks over the text and shares how far it came, for the positions in error texts.
class CountingIterator {
 public:
  using difference_type = std::ptrdiff_t;
  using value_type = char;
  using pointer = const char*;
  using reference = const char&;
  using iterator_category = std::input_iterator_tag;

  CountingIterator(const char* at, const char** reached) : at_(at), reached_(reached) {}
  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    *reached_ = ++at_;
    return *this;
  }
  CountingIterator operator++(int) {
    const CountingIterator before = *this;
    ++*this;
    return before;
  }
  bool operator==(const CountingIterator& other) const { return at_ == other.at_; }

 private:
  const char* at_;
  const char** reached_;
};

// Builds the document from the parser's events and refuses what a plain parse would let through.
class StrictBuilder : public nlohmann::json_sax<json> {
 public:
  StrictBuilder(std::string_view text, std::string_view where)
      : reached(text.data()), text_(text), where_(where) {}

  bool null() override { return put(nullptr); }
  bool boolean(bool value) override { return put(value); }
  bool number_integer(number_integer_t value) override { return put(value); }
  bool number_unsigned(number_unsigned_t value) override { return put(value); }
  bool number_float(number_float_t value, const string_t&) override { return put(value); }
  bool string(string_t& value) override { return put(std::move(value)); }
  bool binary(binary_t&) override { return false; }  // does not exist in text
  bool start_object(std::size_t) override { return open(json::object()); }
  bool start_array(std::size_t) override { return open(json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& name) override {
    if (open_.back()->contains(name)) {
      fail_here(fmt::format("expected unique keys, got \"{}\" twice", printable(name)));
    }
    key_ = std::move(name);
    return true;
  }

  bool parse_error(std::size_t, const std::string&, const json::exception& error) override {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error ..."
    std::string_view message = error.what();
    message.remove_prefix(std::min(message.size(), message.find("] ") + 2));
    if (message.starts_with("parse error at")) {
      message.remove_prefix(std::min(message.size(), message.find(": ") + 2));
    }
    // The reason stands at both ends; the middle quotes the file, however much that is.
    std::string reason = printable(message.substr(0, kLongestQuote));
    if (message.size() > 2 * kLongestQuote) {
      reason += " ... " + printable(message.substr(message.size() - kLongestQuote));
    } else if (message.size() > kLongestQuote) {
      reason += printable(message.substr(kLongestQuote));
    }
    fail_here("expected JSON, got: " + reason);
  }

  json take() { return std::move(root_); }

  const char* reached;

 private:
  json* place(json&& value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    json& parent = *open_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    json& slot = parent[key_];
    slot = std::move(value);
    return &slot;
  }

  bool put(json&& value) {
    place(std::move(value));
    return true;
  }

  bool open(json&& value) {
    if (open_.size() == static_cast<std::size_t>(kMaxJsonDepth)) {
      fail_here(fmt::format("expected nesting of at most {} levels, got more", kMaxJsonDepth));
    }
    open_.push_back(place(std::move(value)));
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  [[noreturn]] void fail_here(std::string_view message) const {
    const auto offset = reached - text_.data();
    const auto line = 1 + std::count(text_.data(), reached, '\n');
    fail(where_, "{} (line {}, byte {})", message, line, offset);
  }

  std::string_view text_;
  std::string_view where_;
  json root_;
  std::vector<json*> open_;  // stable: only the innermost container grows
  std::string key_;
};

template <typename T>
struct IsVector : std::false_type {};
template <typename T>
struct IsVector<std::vector<T>> : std::true_type {};

template <typename T>
T read_integer(const json& value, const std::string& where) {
  require(value.is_number_integer(), where, "expected a whole number, got {}",
          describe_json(value));
  const bool fits = value.is_number_unsigned() ? std::in_range<T>(value.get<std::uint64_t>())
                                               : std::in_range<T>(value.get<std::int64_t>());
  require(fits, where, "expected a whole number in [{}, {}], got {}", std::numeric_limits<T>::min(),
          std::numeric_limits<T>::max(), describe_json(value));
  return value.get<T>();
}

template <typename T>
T read(const json& value, const std::string& where) {
  if constexpr (std::is_same_v<T, bool>) {
    require(value.is_boolean(), where, "expected true or false, got {}", describe_json(value));
    return value.get<bool>();
  } else if constexpr (std::is_integral_v<T>) {
    return read_integer<T>(value, where);
  } else if constexpr (std::is_floating_point_v<T>) {
    require(value.is_number(), where, "expected a number, got {}", describe_json(value));
    const T number = static_cast<T>(value.get<double>());
    require(std::isfinite(number), where, "expected a number that fits a float, got {}",
            describe_json(value));
    return number;
  } else if constexpr (IsVector<T>::value) {
    require(value.is_array(), where, "expected an array, got {}", describe_json(value));
    T out;
    out.reserve(value.size());
    for (const json& element : value) {
      out.push_back(
          read<typename T::value_type>(element, fmt::format("{}[{}]", where, out.size())));
    }
    return out;
  } else {
    require(value.is_string(), where, "expected a string, got {}", describe_json(value));
    return value.get<std::string>();
  }
}

}  // namespace

nlohmann::json parse_json(std::string_view text, std::string_view where) {
  StrictBuilder builder(text, where);
  const CountingIterator begin(text.data(), &builder.reached);
  const CountingIterator end(text.data() + text.size(), &builder.reached);
  json::sax_parse(begin, end, &builder);
  return builder.take();
}

std::string read_text_file(const std::filesystem::path& path, std::uint64_t max_bytes) {
  const std::string name = path.string();
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  require(std::filesystem::exists(status), name, "expected a readable file, got no such file");
  require(!std::filesystem::is_directory(status), name, "expected a file, got a directory");
  require(std::filesystem::is_regular_file(status), name,
          "expected a regular file, got a device, pipe or socket");
  const std::uintmax_t size = std::filesystem::file_size(path, error);
  require(!error, name, "expected a readable file, got: {}", error.message());
  require(size <= max_bytes, name, "expected at most {} bytes, got {}", max_bytes, size);
  std::ifstream file(path, std::ios::binary);
  std::string text(size, '\0');
  file.read(text.data(), static_cast<std::streamsize>(size));
  require(file.good() || size == 0, name, "expected to read {} bytes, got {} (is it readable?)",
          size, file.gcount());
  return text;
}

JsonObject::JsonObject(nlohmann::json document, std::string_view where)
    : value_(std::make_shared<const json>(std::move(document))),
      prefix_(fmt::format("{}: ", where)) {
  require(value_->is_object(), where, "expected a JSON object, got {}", describe_json(*value_));
}

JsonObject JsonObject::from_file(const std::filesystem::path& path, std::uint64_t max_bytes) {
  return {parse_json(read_text_file(path, max_bytes), path.string()), path.string()};
}

const nlohmann::json* JsonObject::find(std::string_view name) const {
  const auto field = value_->find(std::string(name));
  return field == value_->end() || field->is_null() ? nullptr : &*field;
}

const nlohmann::json& JsonObject::at(std::string_view name) const {
  const json* field = find(name);
  require(field != nullptr, where(name), "expected this field, got none");
  return *field;
}

JsonObject JsonObject::object(std::string_view name) const {
  const json& field = at(name);
  require(field.is_object(), where(name), "expected an object, got {}", describe_json(field));
  return {std::shared_ptr<const json>(value_, &field), fmt::format("{}{}.", prefix_, name)};
}

std::vector<std::string> JsonObject::keys() const {
  std::vector<std::string> names;
  names.reserve(value_->size());
  for (const auto& [key, field] : value_->items()) names.push_back(key);
  return names;
}

std::string JsonObject::where(std::string_view name) const {
  return fmt::format("{}{}", prefix_, printable(name));
}

template <typename T>
T JsonObject::get(std::string_view name) const {
  return read<T>(at(name), where(name));
}

template bool JsonObject::get<bool>(std::string_view) const;
template int JsonObject::get<int>(std::string_view) const;
template std::int64_t JsonObject::get<std::int64_t>(std::string_view) const;
template std::uint64_t JsonObject::get<std::uint64_t>(std::string_view) const;
template float JsonObject::get<float>(std::string_view) const;
template double JsonObject::get<double>(std::string_view) const;
template std::string JsonObject::get<std::string>(std::string_view) const;
template std::vector<std::int64_t> JsonObject::get<std::vector<std::int64_t>>(
    std::string_view) const;
template std::vector<double> JsonObject::get<std::vector<double>>(std::string_view) const;
template std::vector<std::string> JsonObject::get<std::vector<std::string>>(std::string_view) const;

std::string describe_json(const nlohmann::json& value) {
  if (value.is_null()) return "null";
  if (value.is_object()) return "an object";
  if (value.is_array()) return "an array";
  if (value.is_string())
    return fmt::format("\"{}\"", printable(value.get_ref<const std::string&>()));
  return value.dump();
}

}  // namespace massact
