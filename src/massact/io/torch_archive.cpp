#include "massact/io/torch_archive.h"

#include <algorithm>
#include <array>

#include "massact/base/error.h"

namespace massact {
namespace {

using Kind = PickleValue::Kind;

// The pickle describes tensors in some hundred bytes each; a larger one holds something else.
constexpr std::uint64_t kMaxPickleBytes = 16u << 20;
constexpr std::size_t kMaxRank = 16;
// The classes of TorchScript's modules.
constexpr std::string_view kScriptClasses = "__torch__.";

struct StorageType {
  std::string_view global;
  std::string_view encoding;
  DType type;
};

constexpr std::array kStorages = std::to_array<StorageType>({
    {"torch.FloatStorage", "F32", DType::f32},
    {"torch.HalfStorage", "F16", DType::f16},
    {"torch.BFloat16Storage", "BF16", DType::bf16},
    {"torch.DoubleStorage", "F64", DType::f64},
    {"torch.LongStorage", "I64", DType::i64},
    {"torch.IntStorage", "I32", DType::i32},
    {"torch.ShortStorage", "I16", DType::i16},
    {"torch.CharStorage", "I8", DType::i8},
    {"torch.ByteStorage", "U8", DType::u8},
    {"torch.BoolStorage", "BOOL", DType::boolean},
});

constexpr std::array kGlobals = std::to_array<std::string_view>({
    "collections.OrderedDict",
    "torch.Size",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_parameter",
    "torch.jit._pickle.build_boollist",
    "torch.jit._pickle.build_doublelist",
    "torch.jit._pickle.build_intlist",
    "torch.jit._pickle.build_tensorlist",
    "torch.jit._pickle.restore_type_tag",
    "torch.FloatStorage",
    "torch.HalfStorage",
    "torch.BFloat16Storage",
    "torch.DoubleStorage",
    "torch.LongStorage",
    "torch.IntStorage",
    "torch.ShortStorage",
    "torch.CharStorage",
    "torch.ByteStorage",
    "torch.BoolStorage",
    "torch.float32",
    "torch.float16",
    "torch.bfloat16",
    "torch.float64",
    "torch.int64",
});

std::string where_of(const std::string& file, std::string_view part) {
  return fmt::format("{}: {}", file, part);
}

bool is_call(const PickleValue& value, std::string_view function) {
  return value.is(Kind::call) && value.items[0]->text == function;
}

const PickleValue& argument(const PickleValue& tuple, std::size_t index, Kind kind,
                            const std::string& where, const char* what) {
  require(tuple.is(Kind::tuple) && index < tuple.items.size() && tuple.items[index]->is(kind),
          where, "expected {}, got something else", what);
  return *tuple.items[index];
}

std::vector<std::int64_t> sizes_of(const PickleValue& tuple, const std::string& where,
                                   const char* what) {
  require(tuple.items.size() <= kMaxRank, where, "expected {} of at most {} numbers, got {}", what,
          kMaxRank, tuple.items.size());
  std::vector<std::int64_t> sizes;
  for (std::size_t i = 0; i < tuple.items.size(); ++i) {
    sizes.push_back(argument(tuple, i, Kind::integer, where, what).integer);
    require(sizes.back() >= 0, where, "expected {} of at least 0, got {}", what, sizes.back());
  }
  return sizes;
}

const StorageType& storage_type(const PickleValue& id, const std::string& where) {
  const auto& tag = argument(id, 0, Kind::text, where, "a storage's tag");
  require(tag.text == "storage", where, "expected a storage, got '{}'", tag.text.substr(0, 32));
  const auto& global = argument(id, 1, Kind::global, where, "a storage's type");
  for (const StorageType& type : kStorages) {
    if (type.global == global.text) return type;
  }
  fail(where, "expected a type of storage, got {}", global.text);
}

// The last element, first + Σ (size - 1) · stride, must be inside, and there may not be more
// elements than the storage has: else a few bytes could claim to be a tensor of any size.
void check_inside(const std::vector<std::int64_t>& shape, const std::vector<std::int64_t>& strides,
                  std::int64_t first, std::int64_t elements, const std::string& where) {
  require(shape.size() == strides.size(), where, "expected {} strides, got {}", shape.size(),
          strides.size());
  require(first >= 0 && first <= elements, where,
          "expected a first element within the storage's {}, got {}", elements, first);
  const std::int64_t count = Shape(shape).element_count(where);
  if (count == 0) return;
  require(count <= elements, where,
          "expected a tensor of at most its storage's {} elements, got {} (expanded tensors are "
          "refused: save a copy with .contiguous())",
          elements, count);
  std::int64_t last = first;
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    if (shape[axis] == 1) continue;
    const std::int64_t steps = shape[axis] - 1;
    require(last < elements && strides[axis] <= (elements - 1 - last) / steps, where,
            "expected elements within the storage's {}, got shape {} with strides {} from {}",
            elements, Shape(shape).to_string(), Shape(strides).to_string(), first);
    last += steps * strides[axis];
  }
  require(last < elements, where, "expected elements within the storage's {}, got element {}",
          elements, last);
}

bool is_contiguous(const std::vector<std::int64_t>& shape,
                   const std::vector<std::int64_t>& strides) {
  std::int64_t expected = 1;
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    if (shape[axis] == 0) return true;
    if (shape[axis] != 1 && strides[axis] != expected) return false;
    expected *= shape[axis];
  }
  return true;
}

}  // namespace

const PickleValue* as_tensor(const PickleValue& value) {
  const PickleValue* at = &value;
  if (is_call(*at, "torch._utils._rebuild_parameter")) {
    const auto& arguments = at->items[1]->items;
    if (arguments.empty()) return nullptr;
    at = arguments[0];
  }
  return is_call(*at, "torch._utils._rebuild_tensor_v2") ? at : nullptr;
}

TorchArchive::TorchArchive(const std::filesystem::path& path)
    : file_(MappedFile::open(path)), name_(path.string()) {
  require_zip();
  entries_ = read_zip_directory(file_->bytes(), name_);
  find_root();
  check_byte_order();
}

Pickle TorchArchive::read_pickle() const {
  const ZipEntry& entry = entries_.at(root_ + "data.pkl");
  const std::string where = where_of(name_, "data.pkl");
  entry.require_stored(where);
  require(entry.size <= kMaxPickleBytes, name_, "expected data.pkl of at most {} bytes, got {}",
          kMaxPickleBytes, entry.size);
  return {file_->bytes().subspan(entry.offset, entry.size), where, kGlobals,
          is_script_ ? kScriptClasses : ""};
}

std::string tensor_name(std::string_view text, const std::string& where, std::string_view prefix) {
  constexpr std::size_t kMostBytes = 1024;
  require(prefix.size() + text.size() <= kMostBytes, where,
          "expected names of at most {} bytes, got one of {}", kMostBytes,
          prefix.size() + text.size());
  const bool plain = std::none_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  });
  require(plain, where, "expected names without control characters");
  return std::string(prefix) + std::string(text);
}

MappedTensor TorchArchive::place(const PickleValue& call, std::string name) const {
  const std::string where = where_of(name_, name);
  const PickleValue& arguments = *call.items[1];
  const PickleValue& id = *argument(arguments, 0, Kind::persistent, where, "a storage").items[0];
  const auto first = argument(arguments, 1, Kind::integer, where, "a storage offset").integer;
  const auto shape =
      sizes_of(argument(arguments, 2, Kind::tuple, where, "a shape"), where, "a shape");
  const auto strides =
      sizes_of(argument(arguments, 3, Kind::tuple, where, "strides"), where, "strides");
  const StorageType& type = storage_type(id, where);
  const ZipEntry& entry = storage(id, type.type, where);
  const auto elements = static_cast<std::int64_t>(entry.size / size_of(type.type));
  check_inside(shape, strides, first, elements, where);
  MappedTensor tensor;
  tensor.info.name = std::move(name);
  tensor.info.type = type.type;
  tensor.info.shape = Shape(shape);
  tensor.info.encoding = type.encoding;
  tensor.info.bytes =
      static_cast<std::uint64_t>(tensor.info.shape.element_count(where)) * size_of(type.type);
  tensor.file = file_;
  tensor.offset = entry.offset + static_cast<std::uint64_t>(first) * size_of(type.type);
  if (!is_contiguous(shape, strides)) tensor.strides = strides;
  return tensor;
}

void TorchArchive::require_zip() const {
  const auto bytes = file_->bytes();
  if (looks_like_zip(bytes)) return;
  // PyTorch before 1.6 began its files with a pickled magic number.
  constexpr std::array<std::uint8_t, 14> kLegacy = {0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c,
                                                    0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19};
  const bool legacy = bytes.size() >= kLegacy.size() &&
                      std::equal(kLegacy.begin(), kLegacy.end(), bytes.begin(),
                                 [](std::uint8_t a, std::byte b) { return std::byte{a} == b; });
  require(!legacy, name_,
          "expected a PyTorch checkpoint in the zip format (1.6 and later), got the legacy one "
          "(convert it: torch.save(torch.load(FILE, weights_only=True), FILE))");
  fail(name_, "expected a PyTorch checkpoint (a zip archive), got another kind of file");
}

void TorchArchive::find_root() {
  constexpr std::string_view kPickle = "data.pkl";
  for (const auto& [entry, place] : entries_) {
    const auto slash = entry.find('/');
    if (slash != std::string::npos && entry.substr(slash + 1) == kPickle) {
      root_ = entry.substr(0, slash + 1);
    }
  }
  require(!root_.empty(), name_,
          "expected a PyTorch checkpoint with NAME/data.pkl, got a zip archive without it");
  is_script_ = entries_.contains(root_ + "constants.pkl");
}

void TorchArchive::check_byte_order() const {
  const auto found = entries_.find(root_ + "byteorder");
  if (found == entries_.end()) return;
  found->second.require_stored(where_of(name_, "byteorder"));
  const auto bytes = file_->bytes().subspan(found->second.offset, found->second.size);
  const std::string_view order(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  require(order == "little", name_, "expected little-endian tensors, got byte order '{}'",
          order.substr(0, 16));
}

const ZipEntry& TorchArchive::storage(const PickleValue& id, DType type,
                                      const std::string& where) const {
  const auto key = argument(id, 2, Kind::text, where, "a storage's key").text;
  const auto count = argument(id, 4, Kind::integer, where, "a storage's size").integer;
  const auto found = entries_.find(fmt::format("{}data/{}", root_, key));
  require(found != entries_.end(), where, "expected storage data/{} in the archive, found none",
          key.substr(0, 64));
  found->second.require_stored(where);
  const std::uint64_t size = found->second.size;
  require(count >= 0 && size % size_of(type) == 0 &&
              size / size_of(type) == static_cast<std::uint64_t>(count),
          where, "expected a storage of {} elements of {}, got {} bytes", count, name_of(type),
          size);
  return found->second;
}

}  // namespace massact
