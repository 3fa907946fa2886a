#include "massact/io/safetensors.h"

#include <algorithm>
#include <array>
#include <atomic>

#include "massact/base/error.h"
#include "massact/io/json.h"
#include "massact/io/json_text.h"
#include "massact/io/little_endian.h"
#include "massact/io/mapped_weights.h"
#include "massact/io/safetensors_internal.h"

namespace massact {
namespace {

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit
constexpr const char* kMetadata = "__metadata__";

struct NamedType {
  const char* name;
  DType type;
};

constexpr std::array kTypes = std::to_array<NamedType>({{"F32", DType::f32},
                                                        {"BF16", DType::bf16},
                                                        {"F16", DType::f16},
                                                        {"F64", DType::f64},
                                                        {"I64", DType::i64},
                                                        {"I32", DType::i32},
                                                        {"I16", DType::i16},
                                                        {"I8", DType::i8},
                                                        {"U64", DType::u64},
                                                        {"U32", DType::u32},
                                                        {"U16", DType::u16},
                                                        {"U8", DType::u8},
                                                        {"BOOL", DType::boolean},
                                                        {"F8_E4M3", DType::f8_e4m3},
                                                        {"F8_E5M2", DType::f8_e5m2}});

DType parse_type(std::string_view name, const std::string& where) {
  for (const NamedType& known : kTypes) {
    if (name == known.name) return known.type;
  }
  std::string all;
  for (const NamedType& known : kTypes)
    all += fmt::format("{}{}", all.empty() ? "" : ", ", known.name);
  fail(where, "expected one of {}, got {}", all, describe_json(nlohmann::json(name)));
}

const char* type_name(DType type) {
  const auto known = std::find_if(kTypes.begin(), kTypes.end(), [&](const NamedType& candidate) {
    return candidate.type == type;
  });
  return known->name;
}

struct HeaderText {
  std::string_view json;
  std::uint64_t data_begin;
};

HeaderText locate_header(std::span<const std::byte> file, const std::string& where) {
  require(file.size() > kLengthBytes, where,
          "expected a safetensors file of at least {} bytes, got {}", kLengthBytes + 2,
          file.size());
  const auto length = load_little_endian<std::uint64_t>(file, 0);
  const std::uint64_t limit = std::min<std::uint64_t>(kMaxHeaderBytes, file.size() - kLengthBytes);
  require(length <= limit, where,
          "expected a header of at most {} bytes (the file has {}), got length {} (truncated, or "
          "no safetensors file?)",
          limit, file.size(), length);
  const std::string_view json(reinterpret_cast<const char*>(file.data()) + kLengthBytes, length);
  require(json.starts_with('{'), where, "expected a header that begins with '{{', got {}",
          json.empty() ? "nothing" : "something else");
  return {json, kLengthBytes + length};
}

// One entry of the header, with offsets relative to the data section.
struct Entry {
  TensorInfo info;
  std::uint64_t begin;
  std::uint64_t end;
};

Entry read_entry(const JsonObject& header, const std::string& name, std::uint64_t data_bytes) {
  const JsonObject field = header.object(name);
  Entry entry;
  entry.info.name = name;
  entry.info.encoding = field.get<std::string>("dtype");
  entry.info.type = parse_type(entry.info.encoding, field.where("dtype"));
  entry.info.shape = Shape(field.get<std::vector<std::int64_t>>("shape"));
  const auto offsets = field.get<std::vector<std::int64_t>>("data_offsets");
  const std::string where = field.where("data_offsets");
  require(offsets.size() == 2 && offsets[0] >= 0 && offsets[1] >= offsets[0], where,
          "expected [begin, end] with 0 <= begin <= end, got {}", Shape(offsets).to_string());
  entry.begin = static_cast<std::uint64_t>(offsets[0]);
  entry.end = static_cast<std::uint64_t>(offsets[1]);
  require(entry.end <= data_bytes, where, "expected an end within {} bytes of data, got {}",
          data_bytes, entry.end);
  entry.info.bytes = entry.end - entry.begin;
  const auto count =
      static_cast<std::uint64_t>(entry.info.shape.element_count(field.where("shape")));
  // The product may be as large as 2^62: compare by division.
  const std::uint64_t element = size_of(entry.info.type);
  require(entry.info.bytes % element == 0 && entry.info.bytes / element == count, where,
          "expected the {} elements of shape {} as {}, got {} bytes", count,
          entry.info.shape.to_string(), entry.info.encoding, entry.info.bytes);
  return entry;
}

// The data section must be covered without overlaps and holes.
void check_coverage(std::vector<Entry>& entries, std::uint64_t data_bytes,
                    const std::string& where) {
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  std::uint64_t reached = 0;
  const std::string* last = nullptr;
  for (const Entry& entry : entries) {
    require(entry.begin >= reached, where,
            "expected tensors that do not overlap, got {} from byte {} on while {} ends at {}",
            entry.info.name, entry.begin, last ? *last : "", reached);
    require(entry.begin == reached, where,
            "expected no holes, got {} bytes that belong to no tensor before {}",
            entry.begin - reached, entry.info.name);
    reached = entry.end;
    last = &entry.info.name;
  }
  require(reached == data_bytes, where,
          "expected the header to describe {} bytes of data, got {} bytes", data_bytes, reached);
}

std::map<std::string, std::string> read_metadata(const JsonObject& header) {
  std::map<std::string, std::string> metadata;
  if (!header.has(kMetadata)) return metadata;
  const JsonObject fields = header.object(kMetadata);
  for (const std::string& key : fields.keys()) metadata[key] = fields.get<std::string>(key);
  return metadata;
}

JsonObject parse_header(const HeaderText& text, const std::string& where) {
  return {parse_json(text.json, where), where};
}

}  // namespace

std::vector<MappedTensor> map_safetensors_file(const std::filesystem::path& path) {
  const auto file = MappedFile::open(path);
  const std::string where = path.string();
  const HeaderText text = locate_header(file->bytes(), where);
  const JsonObject header = parse_header(text, where);
  read_metadata(header);  // checks it
  const std::uint64_t data_bytes = file->bytes().size() - text.data_begin;
  std::vector<Entry> entries;
  for (const std::string& name : header.keys()) {
    if (name != kMetadata) entries.push_back(read_entry(header, name, data_bytes));
  }
  check_coverage(entries, data_bytes, where);
  std::vector<MappedTensor> tensors;
  tensors.reserve(entries.size());
  for (Entry& entry : entries) {
    tensors.push_back({std::move(entry.info), file, text.data_begin + entry.begin});
  }
  return tensors;
}

std::map<std::string, std::string> read_safetensors_metadata(const std::filesystem::path& file) {
  const auto mapped = MappedFile::open(file);
  const std::string where = file.string();
  return read_metadata(parse_header(locate_header(mapped->bytes(), where), where));
}

SafetensorsWriter::SafetensorsWriter(const std::filesystem::path& path,
                                     std::vector<Declaration> tensors,
                                     const std::map<std::string, std::string>& metadata)
    : where_(path.string()), file_(path) {
  nlohmann::json header = nlohmann::json::object();
  if (!metadata.empty()) header[kMetadata] = metadata;
  std::uint64_t end = 0;
  for (const Declaration& tensor : tensors) {
    require(tensor.name != kMetadata && !header.contains(tensor.name), where_,
            "expected distinct tensor names, got {} twice", tensor.name);
    const auto count = static_cast<std::uint64_t>(tensor.shape.element_count(tensor.name));
    require(count < (std::uint64_t{1} << 59), tensor.name,
            "expected a shape that fits a file, got {}", tensor.shape.to_string());
    const Slot slot{end, count * size_of(tensor.type), 0};
    end += slot.size;
    header[tensor.name] = {{"dtype", type_name(tensor.type)},
                           {"shape", tensor.shape.extents()},
                           {"data_offsets", {slot.begin, end}}};
    slots_[tensor.name] = slot;
  }
  std::string text = json_text(header);
  // The data section starts at a multiple of 64, which keeps it aligned for every reader.
  text.append(63 - (kLengthBytes + text.size() + 63) % 64, ' ');
  require(text.size() <= kMaxHeaderBytes, where_, "expected a header of at most {} bytes, got {}",
          kMaxHeaderBytes, text.size());
  const std::uint64_t length = text.size();
  file_.reserve(kLengthBytes + length + end);
  file_.write_at(0, std::as_bytes(std::span(&length, 1)));
  file_.write_at(kLengthBytes, std::as_bytes(std::span(text)));
  for (auto& [name, slot] : slots_) slot.begin += kLengthBytes + length;
}

void SafetensorsWriter::write(std::string_view name, std::uint64_t byte_offset,
                              std::span<const std::byte> bytes) {
  const auto found = slots_.find(name);
  require(found != slots_.end(), where_, "expected a declared tensor, got {}", name);
  Slot& slot = found->second;
  require(byte_offset <= slot.size && bytes.size() <= slot.size - byte_offset, where_,
          "expected bytes inside the {} of {}, got {} bytes at {}", slot.size, name, bytes.size(),
          byte_offset);
  file_.write_at(slot.begin + byte_offset, bytes);
  std::atomic_ref(slot.written).fetch_add(bytes.size(), std::memory_order_relaxed);
}

void SafetensorsWriter::commit() {
  for (const auto& [name, slot] : slots_) {
    require(slot.written == slot.size, where_, "expected {} bytes written to {}, got {}", slot.size,
            name, slot.written);
  }
  file_.commit();
}

}  // namespace massact
