#include "massact/io/npy.h"

#include <array>
#include <charconv>
#include <cstring>
#include <memory>
#include <optional>

#include "massact/base/error.h"
#include "massact/io/atomic_file.h"
#include "massact/io/little_endian.h"
#include "massact/io/mapped_file.h"

namespace massact {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kPreamble = 8;  // magic, major and minor version

struct Header {
  std::string type;
  bool fortran_order = false;
  Shape shape;
};

// Reads the header's Python dictionary literal:
// {'descr': '<i8', 'fortran_order': False, 'shape': (3, 4), }
class HeaderParser {
 public:
  HeaderParser(std::string_view text, const std::string& where)
      : all_(text), left_(text), where_(where) {}

  Header parse() {
    std::optional<std::string> type;
    std::optional<bool> fortran_order;
    std::optional<Shape> shape;
    expect('{');
    while (!accept('}')) {
      const std::string key = parse_string();
      expect(':');
      if (key == "descr" && !type) {
        type = parse_string();
      } else if (key == "fortran_order" && !fortran_order) {
        fortran_order = parse_bool();
      } else if (key == "shape" && !shape) {
        shape = parse_shape();
      } else {
        fail_header();
      }
      if (!accept(',') && !peek('}')) fail_header();
    }
    skip_space();
    if (!left_.empty() || !type || !fortran_order || !shape) fail_header();
    return {*type, *fortran_order, *shape};
  }

 private:
  void skip_space() {
    while (!left_.empty() && (left_[0] == ' ' || left_[0] == '\n')) left_.remove_prefix(1);
  }
  bool peek(char c) {
    skip_space();
    return !left_.empty() && left_[0] == c;
  }
  bool accept(char c) {
    if (!peek(c)) return false;
    left_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail_header();
  }

  std::string parse_string() {
    expect('\'');
    const std::size_t end = left_.find('\'');
    if (end == std::string_view::npos) fail_header();
    std::string text(left_.substr(0, end));
    left_.remove_prefix(end + 1);
    return text;
  }

  bool parse_bool() {
    skip_space();
    for (const auto& [word, value] : {std::pair("True", true), std::pair("False", false)}) {
      if (left_.starts_with(word)) {
        left_.remove_prefix(std::string_view(word).size());
        return value;
      }
    }
    fail_header();
  }

  Shape parse_shape() {
    std::vector<std::int64_t> extents;
    expect('(');
    while (!accept(')')) {
      skip_space();
      std::int64_t extent = 0;
      const auto [end, status] = std::from_chars(left_.data(), left_.data() + left_.size(), extent);
      if (status != std::errc()) fail_header();
      left_.remove_prefix(static_cast<std::size_t>(end - left_.data()));
      extents.push_back(extent);
      if (!accept(',') && !peek(')')) fail_header();
    }
    return Shape(std::move(extents));
  }

  [[noreturn]] void fail_header() const {
    fail(where_,
         "expected a header with descr, fortran_order and shape, got something else at its byte {}",
         all_.size() - left_.size());
  }

  std::string_view all_;
  std::string_view left_;
  const std::string& where_;
};

template <typename T>
void append_values(std::span<const std::byte> data, std::int64_t count, const std::string& where,
                   std::vector<std::int64_t>& out) {
  for (std::int64_t i = 0; i < count; ++i) {
    const T value = load_little_endian<T>(data, static_cast<std::size_t>(i) * sizeof(T));
    require(std::in_range<std::int64_t>(value), where,
            "expected integers below 2^63, got {} at element {}", value, i);
    out.push_back(static_cast<std::int64_t>(value));
  }
}

struct IntegerType {
  std::string_view descr;
  std::size_t size;
  void (*append)(std::span<const std::byte>, std::int64_t, const std::string&,
                 std::vector<std::int64_t>&);
};

constexpr std::array kIntegerTypes =
    std::to_array<IntegerType>({{"|i1", 1, append_values<std::int8_t>},
                                {"|u1", 1, append_values<std::uint8_t>},
                                {"<i2", 2, append_values<std::int16_t>},
                                {"<u2", 2, append_values<std::uint16_t>},
                                {"<i4", 4, append_values<std::int32_t>},
                                {"<u4", 4, append_values<std::uint32_t>},
                                {"<i8", 8, append_values<std::int64_t>},
                                {"<u8", 8, append_values<std::uint64_t>}});

const IntegerType& integer_type(std::string_view descr, const std::string& where) {
  for (const IntegerType& type : kIntegerTypes) {
    if (type.descr == descr) return type;
  }
  std::string shown;
  for (const char c : descr.substr(0, 20)) shown += (c >= 0x20 && c < 0x7f) ? c : '?';
  fail(where, "expected little-endian integers (|i1 |u1 <i2 <u2 <i4 <u4 <i8 <u8), got descr '{}'",
       shown);
}

// The header's text; what follows it is data.
std::string_view locate_header(std::span<const std::byte> file, const std::string& where) {
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  require(text.starts_with(kMagic) && file.size() >= kPreamble + 2, where,
          "expected a .npy file (magic \\x93NUMPY), got something else");
  const auto major = static_cast<unsigned char>(text[kMagic.size()]);
  require(major >= 1 && major <= 3, where, "expected .npy version 1 to 3, got {}", major);
  const std::size_t length_bytes = major == 1 ? 2 : 4;
  require(file.size() >= kPreamble + length_bytes, where, "expected a header length, got the end");
  const std::size_t length = major == 1 ? load_little_endian<std::uint16_t>(file, kPreamble)
                                        : load_little_endian<std::uint32_t>(file, kPreamble);
  const std::size_t begin = kPreamble + length_bytes;
  require(length <= file.size() - begin, where,
          "expected a header of at most {} bytes, got length {} (truncated?)", file.size() - begin,
          length);
  return text.substr(begin, length);
}

// A file that has been checked up to the size of its elements.
struct NpyFile {
  explicit NpyFile(const std::filesystem::path& path)
      : mapped(MappedFile::open(path)), where(path.string()) {
    const std::string_view text = locate_header(mapped->bytes(), where);
    header = HeaderParser(text, where).parse();
    require(header.shape.rank() == 1 || header.shape.rank() == 2, where,
            "expected a 1-D or 2-D array, got shape {}", header.shape.to_string());
    require(!header.fortran_order || header.shape.rank() == 1, where,
            "expected C order, got Fortran order (save numpy.ascontiguousarray of it)");
    begin = static_cast<std::size_t>(reinterpret_cast<const std::byte*>(text.data() + text.size()) -
                                     mapped->bytes().data());
  }

  // All elements, of so many bytes each, and how many they are.
  std::pair<std::span<const std::byte>, std::int64_t> elements(std::size_t size) const {
    const std::int64_t count = header.shape.element_count(where);
    const auto data = mapped->bytes().subspan(begin);
    require(data.size() % size == 0 && data.size() / size == static_cast<std::uint64_t>(count),
            where, "expected {} elements of {} bytes for shape {}, got {} bytes of data", count,
            size, header.shape.to_string(), data.size());
    return {data, count};
  }

  std::shared_ptr<const MappedFile> mapped;
  std::string where;
  Header header;
  std::size_t begin = 0;
};

void write_array(const std::filesystem::path& path, const Shape& shape, std::string_view descr,
                 std::span<const std::byte> data, std::size_t count) {
  require(static_cast<std::size_t>(shape.element_count()) == count, path.string(),
          "expected {} values for shape {}, got {}", shape.element_count(), shape.to_string(),
          count);
  std::string extents;
  for (const std::int64_t extent : shape.extents()) extents += fmt::format("{}, ", extent);
  std::string header =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", descr, extents);
  // Version 1: everything before the data is a multiple of 64 bytes and ends with a newline.
  const std::size_t unpadded = kPreamble + 2 + header.size() + 1;
  header.append((64 - unpadded % 64) % 64, ' ');
  header += '\n';
  AtomicFile file(path);
  file.append(kMagic);
  const std::array<std::uint8_t, 4> rest = {1, 0, static_cast<std::uint8_t>(header.size() & 0xff),
                                            static_cast<std::uint8_t>(header.size() >> 8)};
  file.append(std::as_bytes(std::span(rest)));
  file.append(header);
  file.append(data);
  file.commit();
}

}  // namespace

IntegerArray read_npy_integers(const std::filesystem::path& path) {
  const NpyFile file(path);
  const IntegerType& type = integer_type(file.header.type, path.string());
  const auto [data, count] = file.elements(type.size);
  IntegerArray array{{}, file.header.shape};
  array.values.reserve(static_cast<std::size_t>(count));
  type.append(data, count, path.string(), array.values);
  return array;
}

FloatArray read_npy_floats(const std::filesystem::path& path) {
  const NpyFile file(path);
  require(file.header.type == "<f4", path.string(),
          "expected little-endian float32 (descr <f4), got another type");
  const auto [data, count] = file.elements(sizeof(float));
  FloatArray array{{}, file.header.shape};
  array.values.resize(static_cast<std::size_t>(count));
  std::memcpy(array.values.data(), data.data(), data.size());
  return array;
}

void write_npy(const std::filesystem::path& path, const Shape& shape,
               std::span<const float> values) {
  write_array(path, shape, "<f4", std::as_bytes(values), values.size());
}

void write_npy(const std::filesystem::path& path, const Shape& shape,
               std::span<const std::int64_t> values) {
  write_array(path, shape, "<i8", std::as_bytes(values), values.size());
}

}  // namespace massact
