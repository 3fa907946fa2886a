#include "massact/io/gguf.h"

#include <algorithm>
#include <array>
#include <bit>

#include "massact/base/error.h"
#include "massact/base/suggest.h"

namespace massact {
namespace {

constexpr std::uint32_t kMagic = 0x46554747;  // "GGUF"
constexpr std::uint32_t kMaxDimensions = 4;
constexpr std::uint64_t kDefaultAlignment = 32;
constexpr std::size_t kLongestName = 255;
constexpr const char* kSplitCount = "split.count";
constexpr const char* kSplitNumber = "split.no";
constexpr const char* kSplitTensors = "split.tensors.count";

struct Part {
  GgufMetadata metadata;
  std::vector<MappedTensor> tensors;
};

void check_version(ByteCursor& cursor) {
  const auto magic = cursor.read<std::uint32_t>("the magic number");
  require(magic == kMagic, cursor.where(), "expected a GGUF file (magic 'GGUF'), got {:#010x}",
          magic);
  const auto version = cursor.read<std::uint32_t>("the version");
  require((version & 0xffff) != 0, cursor.where(),
          "expected a little-endian GGUF file, got a big-endian one (version {:#010x})", version);
  require(version == 2 || version == 3, cursor.where(), "expected GGUF version 2 or 3, got {}",
          version);
}

// Types of the specification (ggml's enum ggml_type) that have no reader here, some long removed.
constexpr std::pair<std::uint32_t, std::string_view> kUnreadable[] = {
    {4, "Q4_2"},    {5, "Q4_3"},        {9, "Q8_1"},        {15, "Q8_K"},       {16, "IQ2_XXS"},
    {17, "IQ2_XS"}, {18, "IQ3_XXS"},    {19, "IQ1_S"},      {21, "IQ3_S"},      {22, "IQ2_S"},
    {29, "IQ1_M"},  {31, "Q4_0_4_4"},   {32, "Q4_0_4_8"},   {33, "Q4_0_8_8"},   {34, "TQ1_0"},
    {35, "TQ2_0"},  {36, "IQ4_NL_4_4"}, {37, "IQ4_NL_4_8"}, {38, "IQ4_NL_8_8"}, {40, "NVFP4"},
    {41, "Q1_0"}};

std::string unreadable_type(std::uint32_t id) {
  for (const auto& [number, name] : kUnreadable) {
    if (number == id) return fmt::format("{} (type number {})", name, id);
  }
  return fmt::format("type number {}", id);
}

const GgufType& read_type(ByteCursor& cursor, std::string_view tensor) {
  const auto id = cursor.read<std::uint32_t>("a tensor type");
  if (const GgufType* type = find_gguf_type(id)) return *type;
  std::vector<std::string> known;
  for (const GgufType& type : gguf_types()) known.emplace_back(type.name);
  fail(cursor.where(), "expected {} in one of the types {}, got {}", tensor, join(known),
       unreadable_type(id));
}

// The file lists extents innermost first.
Shape read_shape(ByteCursor& cursor, std::string_view tensor) {
  const auto rank = cursor.read<std::uint32_t>("a tensor's rank");
  require(rank <= kMaxDimensions, cursor.where(),
          "expected {} to have at most {} dimensions, got {}", tensor, kMaxDimensions, rank);
  std::vector<std::int64_t> extents(rank);
  for (std::uint32_t axis = 0; axis < rank; ++axis) {
    const auto extent = cursor.read<std::uint64_t>("a tensor's shape");
    require(std::in_range<std::int64_t>(extent), cursor.where(),
            "expected extents of {} below 2^63, got {}", tensor, extent);
    extents[rank - 1 - axis] = static_cast<std::int64_t>(extent);
  }
  return Shape(std::move(extents));
}

// `offset` is relative to the data section until place_tensors.
MappedTensor read_tensor_info(ByteCursor& cursor) {
  const std::string_view name = cursor.read_string("a tensor name");
  const bool printable =
      std::all_of(name.begin(), name.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  require(!name.empty() && name.size() <= kLongestName && printable, cursor.where(),
          "expected tensor names of 1 to {} printable characters, got another before byte {}",
          kLongestName, cursor.offset());
  MappedTensor tensor;
  tensor.info.name = name;
  tensor.info.shape = read_shape(cursor, name);
  const GgufType& type = read_type(cursor, name);
  tensor.offset = cursor.read<std::uint64_t>("a tensor's offset");
  tensor.info.type = type.plain;
  tensor.info.encoding = type.name;
  tensor.info.viewable = type.dequantize == nullptr;
  const auto count = static_cast<std::uint64_t>(
      tensor.info.shape.element_count(fmt::format("{}: {}", cursor.where(), name)));
  const auto block = static_cast<std::uint64_t>(type.block_elements);
  const std::uint64_t row = tensor.info.shape.rank() == 0
                                ? 1
                                : static_cast<std::uint64_t>(tensor.info.shape.extents().back());
  require(row % block == 0, cursor.where(),
          "expected rows of {} to be a multiple of the {} elements of a {} block, got shape {}",
          name, block, type.name, tensor.info.shape.to_string());
  const auto block_bytes = static_cast<std::uint64_t>(type.block_bytes);
  // Not even the whole file may be smaller; this also keeps the product from overflowing.
  require(count / block <= (cursor.offset() + cursor.remaining()) / block_bytes, cursor.where(),
          "expected {} of shape {} as {} to fit the file, got {} bytes in all", name,
          tensor.info.shape.to_string(), type.name, cursor.offset() + cursor.remaining());
  tensor.info.bytes = count / block * block_bytes;
  return tensor;
}

std::uint64_t read_alignment(const GgufMetadata& metadata) {
  constexpr const char* kKey = "general.alignment";
  const auto alignment = metadata.get_or<std::uint64_t>(kKey, kDefaultAlignment);
  require(std::has_single_bit(alignment) && alignment <= (1u << 20), metadata.where(kKey),
          "expected a power of two of at most 2^20, got {}", alignment);
  return alignment;
}

// Turns offsets into offsets in the file, and checks that tensors are inside it and apart.
void place_tensors(std::vector<MappedTensor>& tensors,
                   const std::shared_ptr<const MappedFile>& file, std::uint64_t header_end,
                   std::uint64_t alignment) {
  const std::string where = file->path().string();
  const std::uint64_t file_size = file->bytes().size();
  const std::uint64_t begin = (header_end + alignment - 1) / alignment * alignment;
  const std::uint64_t size = file_size - std::min(begin, file_size);
  std::sort(tensors.begin(), tensors.end(), [](const MappedTensor& a, const MappedTensor& b) {
    return std::pair(a.offset, a.info.bytes) < std::pair(b.offset, b.info.bytes);
  });
  std::uint64_t reached = 0;
  for (MappedTensor& tensor : tensors) {
    const TensorInfo& info = tensor.info;
    require(tensor.offset % alignment == 0, where, "expected {} at a multiple of {} bytes, got {}",
            info.name, alignment, tensor.offset);
    require(tensor.offset <= size && info.bytes <= size - tensor.offset, where,
            "expected {} within {} bytes of data, got {} bytes at offset {} (truncated?)",
            info.name, size, info.bytes, tensor.offset);
    require(tensor.offset >= reached, where,
            "expected tensors that do not overlap, got {} at offset {} while another ends at {}",
            info.name, tensor.offset, reached);
    reached = tensor.offset + info.bytes;
    tensor.offset += begin;
    tensor.file = file;
  }
}

Part open_part(const std::filesystem::path& path) {
  const auto file = MappedFile::open(path);
  ByteCursor cursor(file->bytes(), path.string());
  check_version(cursor);
  const auto tensor_count = cursor.read<std::uint64_t>("the tensor count");
  const auto pair_count = cursor.read<std::uint64_t>("the metadata count");
  Part part{GgufMetadata(file, cursor, pair_count), {}};
  // A description takes 25 bytes at least.
  require(tensor_count <= cursor.remaining() / 25, path.string(),
          "expected a tensor count that fits the file, got {} in {} bytes", tensor_count,
          cursor.remaining());
  for (std::uint64_t i = 0; i < tensor_count; ++i) part.tensors.push_back(read_tensor_info(cursor));
  place_tensors(part.tensors, file, cursor.offset(), read_alignment(part.metadata));
  return part;
}

// "dir/name-00001-of-00003.gguf" -> the names of all parts.
std::vector<std::filesystem::path> part_paths(const std::filesystem::path& first,
                                              std::uint64_t count) {
  const std::string name = first.filename().string();
  const std::string extension = first.extension().string();  // .gguf, or .GGUF
  const std::string ending = fmt::format("-00001-of-{:05}{}", count, extension);
  require(name.ends_with(ending), first.string(),
          "expected the first of {} parts to be called NAME{}, got {}", count, ending, name);
  const std::string stem = name.substr(0, name.size() - ending.size());
  std::vector<std::filesystem::path> paths;
  std::vector<std::string> missing;
  for (std::uint64_t part = 1; part <= count; ++part) {
    const std::string file = fmt::format("{}-{:05}-of-{:05}{}", stem, part, count, extension);
    paths.push_back(first.parent_path() / file);
    if (!std::filesystem::exists(paths.back())) missing.push_back(file);
  }
  require(missing.empty(), first.string(), "expected {} parts, got {}; missing: {}", count,
          count - missing.size(), list_names(missing));
  return paths;
}

// Appends the tensors of parts 2 and on to the first part's.
void add_other_parts(Part& first, const std::filesystem::path& path, std::uint64_t count) {
  const auto number = first.metadata.get_or<std::uint64_t>(kSplitNumber, 0);
  require(number == 0, first.metadata.where(kSplitNumber),
          "expected the first part of a split model, got part {} of {} (open "
          "NAME-00001-of-{:05}.gguf)",
          number + 1, count, count);
  const auto paths = part_paths(path, count);
  for (std::uint64_t i = 1; i < count; ++i) {
    Part part = open_part(paths[i]);
    const auto part_number = part.metadata.get<std::uint64_t>(kSplitNumber);
    const auto part_count = part.metadata.get<std::uint64_t>(kSplitCount);
    require(part_number == i && part_count == count, paths[i].string(),
            "expected part {} of {}, got part {} of {}", i + 1, count, part_number + 1, part_count);
    std::move(part.tensors.begin(), part.tensors.end(), std::back_inserter(first.tensors));
  }
  const auto announced = first.metadata.get_or<std::uint64_t>(kSplitTensors, first.tensors.size());
  require(announced == first.tensors.size(), first.metadata.where(kSplitTensors),
          "expected {} tensors in all parts, got {}", announced, first.tensors.size());
}

}  // namespace

GgufSource::GgufSource(std::string description, GgufMetadata metadata,
                       std::vector<MappedTensor> tensors)
    : MappedWeights(std::move(description), std::move(tensors)), metadata_(std::move(metadata)) {}

void GgufSource::read(std::string_view name, std::int64_t first, std::int64_t count,
                      float* out) const {
  const TensorInfo& tensor = info(name);
  if (tensor.viewable) return MappedWeights::read(name, first, count, out);
  check_range(tensor, first, count);
  const auto type = std::find_if(gguf_types().begin(), gguf_types().end(),
                                 [&](const GgufType& t) { return t.name == tensor.encoding; });
  const std::int64_t size = type->block_elements, before = first / size;
  const std::int64_t block_count = (first + count + size - 1) / size - before;
  std::vector<std::byte> scratch;
  const auto* blocks = reinterpret_cast<const std::uint8_t*>(
      bytes_of(tensor, static_cast<std::uint64_t>(before * type->block_bytes),
               static_cast<std::uint64_t>(block_count * type->block_bytes), scratch));
  for (std::int64_t done = 0; done < count;) {
    const std::int64_t begin = (first + done) % size;
    const std::int64_t taken = std::min(size - begin, count - done);
    const std::uint8_t* block = blocks + ((first + done) / size - before) * type->block_bytes;
    if (taken == size) {
      type->dequantize(block, out + done);
    } else {
      std::array<float, kMaxGgufBlock> values;
      type->dequantize(block, values.data());
      std::copy_n(values.data() + begin, taken, out + done);
    }
    done += taken;
  }
}

std::unique_ptr<GgufSource> open_gguf(const std::filesystem::path& path) {
  Part part = open_part(path);
  const auto parts = part.metadata.get_or<std::uint64_t>(kSplitCount, 1);
  if (parts > 1) add_other_parts(part, path, parts);
  return std::make_unique<GgufSource>(path.string(), std::move(part.metadata),
                                      std::move(part.tensors));
}

}  // namespace massact
