#include "massact/io/torch_checkpoint.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>

#include "massact/base/error.h"
#include "massact/base/suggest.h"
#include "massact/io/mapped_weights.h"
#include "massact/io/pickle.h"
#include "massact/io/shards.h"
#include "massact/io/zip.h"

namespace massact {
namespace {

using Kind = PickleValue::Kind;
using Archive = std::map<std::string, ZipEntry, std::less<>>;

// The pickle describes tensors in some hundred bytes each; a larger one holds something else.
constexpr std::uint64_t kMaxPickleBytes = 16u << 20;
constexpr std::size_t kMaxRank = 16;
constexpr std::size_t kMaxPlainValues = 100'000;

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

// The keys under which training programs keep a model's state dict, the likeliest first.
constexpr std::array kStateKeys = std::to_array<std::string_view>(
    {"state_dict", "model", "model_state", "model_state_dict", "module", "net", "teacher"});

// Wrappers that put a prefix before every name: DistributedDataParallel and torch.compile.
constexpr std::array kWrappers = std::to_array<std::string_view>({"module.", "_orig_mod."});

std::string where_of(const std::string& file, std::string_view part) {
  return fmt::format("{}: {}", file, part);
}

bool is_call(const PickleValue& value, std::string_view function) {
  return value.is(Kind::call) && value.items[0]->text == function;
}

// A tensor, or the tensor inside a parameter; null if the value is neither.
const PickleValue* as_tensor(const PickleValue& value) {
  const PickleValue* at = &value;
  if (is_call(*at, "torch._utils._rebuild_parameter")) {
    const auto& arguments = at->items[1]->items;
    if (arguments.empty()) return nullptr;
    at = arguments[0];
  }
  return is_call(*at, "torch._utils._rebuild_tensor_v2") ? at : nullptr;
}

// A tensor's name: its key's text, or the digits of a whole number (a dict from layer to tensor).
std::optional<std::string> name_of(const PickleValue& key) {
  if (key.is(Kind::text)) return std::string(key.text);
  if (key.is(Kind::integer)) return fmt::format("{}", key.integer);
  return std::nullopt;
}

bool has_tensors(const PickleValue& value) {
  if (!value.is(Kind::dict)) return false;
  for (std::size_t i = 0; i + 1 < value.items.size(); i += 2) {
    if (name_of(*value.items[i]) && as_tensor(*value.items[i + 1])) return true;
  }
  return false;
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

// The pieces of an archive that torch.save wrote: NAME/data.pkl, NAME/data/0, ….
class TorchArchive {
 public:
  explicit TorchArchive(const std::filesystem::path& path)
      : file_(MappedFile::open(path)), name_(path.string()) {
    require_zip();
    entries_ = read_zip_directory(file_->bytes(), name_);
    find_root();
    check_byte_order();
  }

  const std::string& name() const { return name_; }

  Pickle read_pickle() const {
    const ZipEntry& entry = entries_.at(root_ + "data.pkl");
    require(entry.size <= kMaxPickleBytes, name_, "expected data.pkl of at most {} bytes, got {}",
            kMaxPickleBytes, entry.size);
    return {file_->bytes().subspan(entry.offset, entry.size), where_of(name_, "data.pkl"),
            kGlobals};
  }

  MappedTensor place(const PickleValue& call, std::string name) const {
    const std::string where = where_of(name_, name);
    const PickleValue& arguments = *call.items[1];
    const PickleValue& id = *argument(arguments, 0, Kind::persistent, where, "a storage").items[0];
    const auto first = argument(arguments, 1, Kind::integer, where, "a storage offset").integer;
    const auto shape =
        sizes_of(argument(arguments, 2, Kind::tuple, where, "a shape"), where, "a shape");
    const auto strides =
        sizes_of(argument(arguments, 3, Kind::tuple, where, "strides"), where, "strides");
    const StorageType& type = storage_type(id, where);
    const ZipEntry& entry = storage(id, type, where);
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

 private:
  void require_zip() const {
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

  void find_root() {
    constexpr std::string_view kPickle = "data.pkl";
    for (const auto& [entry, place] : entries_) {
      const auto slash = entry.find('/');
      if (slash != std::string::npos && entry.substr(slash + 1) == kPickle) {
        root_ = entry.substr(0, slash + 1);
      }
    }
    require(!root_.empty(), name_,
            "expected a PyTorch checkpoint with NAME/data.pkl, got a zip archive without it");
    require(!entries_.contains(root_ + "constants.pkl"), name_,
            "expected a checkpoint of tensors, got a TorchScript program (save the model's "
            "state_dict() with torch.save)");
  }

  void check_byte_order() const {
    const auto found = entries_.find(root_ + "byteorder");
    if (found == entries_.end()) return;
    const auto bytes = file_->bytes().subspan(found->second.offset, found->second.size);
    const std::string_view order(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    require(order == "little", name_, "expected little-endian tensors, got byte order '{}'",
            order.substr(0, 16));
  }

  static const StorageType& storage_type(const PickleValue& id, const std::string& where) {
    const auto& tag = argument(id, 0, Kind::text, where, "a storage's tag");
    require(tag.text == "storage", where, "expected a storage, got '{}'", tag.text.substr(0, 32));
    const auto& global = argument(id, 1, Kind::global, where, "a storage's type");
    for (const StorageType& type : kStorages) {
      if (type.global == global.text) return type;
    }
    fail(where, "expected a type of storage, got {}", global.text);
  }

  const ZipEntry& storage(const PickleValue& id, const StorageType& type,
                          const std::string& where) const {
    const auto key = argument(id, 2, Kind::text, where, "a storage's key").text;
    const auto count = argument(id, 4, Kind::integer, where, "a storage's size").integer;
    const auto found = entries_.find(fmt::format("{}data/{}", root_, key));
    require(found != entries_.end(), where, "expected storage data/{} in the archive, found none",
            key.substr(0, 64));
    const std::uint64_t size = found->second.size;
    require(count >= 0 && size % size_of(type.type) == 0 &&
                size / size_of(type.type) == static_cast<std::uint64_t>(count),
            where, "expected a storage of {} elements of {}, got {} bytes", count,
            name_of(type.type), size);
    return found->second;
  }

  // The last element, first + Σ (size - 1) · stride, must be inside, and there may not be more
  // elements than the storage has: else a few bytes could claim to be a tensor of any size.
  static void check_inside(const std::vector<std::int64_t>& shape,
                           const std::vector<std::int64_t>& strides, std::int64_t first,
                           std::int64_t elements, const std::string& where) {
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

  static bool is_contiguous(const std::vector<std::int64_t>& shape,
                            const std::vector<std::int64_t>& strides) {
    std::int64_t expected = 1;
    for (std::size_t axis = shape.size(); axis-- > 0;) {
      if (shape[axis] == 0) return true;
      if (shape[axis] != 1 && strides[axis] != expected) return false;
      expected *= shape[axis];
    }
    return true;
  }

  std::shared_ptr<const MappedFile> file_;
  std::string name_;
  Archive entries_;
  std::string root_;  // "archive/"
};

std::vector<MappedTensor> place_tensors(const TorchArchive& archive, const PickleValue& state) {
  std::vector<MappedTensor> tensors;
  for (std::size_t i = 0; i + 1 < state.items.size(); i += 2) {
    const PickleValue* tensor = as_tensor(*state.items[i + 1]);
    const std::optional<std::string> name = name_of(*state.items[i]);
    if (tensor && name) tensors.push_back(archive.place(*tensor, *name));
  }
  for (bool stripped = true; stripped;) {
    stripped = false;
    for (const std::string_view prefix : kWrappers) {
      const bool all = std::all_of(tensors.begin(), tensors.end(), [&](const MappedTensor& tensor) {
        return tensor.info.name.starts_with(prefix);
      });
      if (!all || tensors.empty()) continue;
      for (MappedTensor& tensor : tensors) tensor.info.name.erase(0, prefix.size());
      stripped = true;
    }
  }
  return tensors;
}

struct State {
  std::string key;
  const PickleValue* dict = nullptr;
};

State find_state(const PickleValue& root, std::string_view wanted, const std::string& where) {
  std::vector<std::string> candidates;
  if (root.is(Kind::dict)) {
    for (std::size_t i = 0; i + 1 < root.items.size(); i += 2) {
      if (root.items[i]->is(Kind::text) && has_tensors(*root.items[i + 1])) {
        candidates.emplace_back(root.items[i]->text);
      }
    }
  }
  const auto take = [&](std::string_view key) { return State{std::string(key), root.find(key)}; };
  if (!wanted.empty()) {
    require(std::find(candidates.begin(), candidates.end(), wanted) != candidates.end(), where,
            "expected a state dict under '{}', got {}", wanted,
            candidates.empty() ? "none" : list_names(candidates));
    return take(wanted);
  }
  for (const std::string_view key : kStateKeys) {
    if (std::find(candidates.begin(), candidates.end(), key) != candidates.end()) return take(key);
  }
  // A dict with tensors in it comes second: programs put single ones beside the state dict.
  if (has_tensors(root)) return {"", &root};
  require(
      !candidates.empty(), where,
      "expected a dict of tensors (a state dict), or one under a key such as 'model', got none");
  require(candidates.size() == 1, where, "expected one state dict, got {}", list_names(candidates));
  return take(candidates.front());
}

// Numbers and texts; anything else is null.
nlohmann::json scalar_json(const PickleValue& value) {
  switch (value.kind) {
    case Kind::boolean:
      return value.integer != 0;
    case Kind::integer:
      return value.integer;
    case Kind::real:
      return value.real;
    case Kind::text:
      return std::string(value.text);
    default:
      return nullptr;
  }
}

nlohmann::json plain_json(const PickleValue& value) {
  if (value.is(Kind::dict)) {
    auto object = nlohmann::json::object();
    for (std::size_t i = 0; i + 1 < value.items.size() && object.size() < kMaxPlainValues; i += 2) {
      if (!value.items[i]->is(Kind::text)) continue;
      auto element = scalar_json(*value.items[i + 1]);
      if (!element.is_null()) object[std::string(value.items[i]->text)] = std::move(element);
    }
    return object;
  }
  if (value.is(Kind::list) || value.is(Kind::tuple)) {
    auto array = nlohmann::json::array();
    for (const PickleValue* item : value.items) {
      if (array.size() < kMaxPlainValues) array.push_back(scalar_json(*item));
    }
    return array;
  }
  return scalar_json(value);
}

// What the file holds beside the state dict. The shared budget keeps small files that repeat one
// large dict small.
void read_others(const PickleValue& root, TorchCheckpoint& checkpoint) {
  std::size_t budget = kMaxPlainValues;
  for (std::size_t i = 0; i + 1 < root.items.size(); i += 2) {
    const PickleValue& value = *root.items[i + 1];
    if (!root.items[i]->is(Kind::text)) continue;
    std::string key(root.items[i]->text);
    if (key == checkpoint.state_key) continue;
    if (has_tensors(value) || as_tensor(value)) {
      checkpoint.ignored.emplace_back(std::move(key), "tensors outside of the state dict");
      continue;
    }
    if (value.items.size() > budget) continue;
    budget -= value.items.size();
    checkpoint.values[key] = plain_json(value);
    checkpoint.ignored.emplace_back(std::move(key), "no part of the model's weights");
  }
}

}  // namespace

TorchCheckpoint open_torch_checkpoint(const std::filesystem::path& path, std::string_view key) {
  const TorchArchive archive(path);
  const Pickle pickle = archive.read_pickle();
  const State state = find_state(pickle.root(), key, archive.name());
  TorchCheckpoint checkpoint;
  checkpoint.state_key = state.key;
  checkpoint.weights =
      std::make_unique<MappedWeights>(archive.name(), place_tensors(archive, *state.dict));
  if (!state.key.empty()) read_others(pickle.root(), checkpoint);
  return checkpoint;
}

std::unique_ptr<WeightSource> open_torch_shards(const std::filesystem::path& index) {
  return open_sharded(index, [](const std::filesystem::path& shard) {
    const TorchArchive archive(shard);
    const Pickle pickle = archive.read_pickle();
    return place_tensors(archive, *find_state(pickle.root(), "", archive.name()).dict);
  });
}

}  // namespace massact
