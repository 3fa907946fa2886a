#include "massact/io/torch_checkpoint.h"

#include <algorithm>
#include <array>
#include <optional>
#include <unordered_map>

#include "massact/base/error.h"
#include "massact/base/suggest.h"
#include "massact/io/shards.h"
#include "massact/io/torch_archive.h"
#include "massact/io/torch_script.h"

namespace massact {
namespace {

using Kind = PickleValue::Kind;

constexpr std::size_t kMaxPlainValues = 100'000;

// The keys under which training programs keep a model's state dict, the likeliest first.
constexpr std::array kStateKeys = std::to_array<std::string_view>(
    {"state_dict", "model", "model_state", "model_state_dict", "module", "net", "teacher"});

// Wrappers that put a prefix before every name: DistributedDataParallel and torch.compile.
constexpr std::array kWrappers = std::to_array<std::string_view>({"module.", "_orig_mod."});

// Of tensors in a state dict, and of things beside it; of what is kept of a text beside it.
constexpr std::size_t kMaxNames = 100'000, kMaxTextBytes = 4096;

// A tensor's name: its key's text, or the digits of a whole number (a dict from layer to tensor).
std::optional<std::string> name_of(const PickleValue& key, const std::string& where) {
  if (key.is(Kind::text)) return tensor_name(key.text, where);
  if (key.is(Kind::integer)) return fmt::format("{}", key.integer);
  return std::nullopt;
}

bool has_tensors(const PickleValue& value) {
  if (!value.is(Kind::dict)) return false;
  for (std::size_t i = 0; i + 1 < value.items.size(); i += 2) {
    const PickleValue& key = *value.items[i];
    if ((key.is(Kind::text) || key.is(Kind::integer)) && as_tensor(*value.items[i + 1]))
      return true;
  }
  return false;
}

// A small pickle may name one large dict many times: it is looked through once.
class TensorDicts {
 public:
  bool contains(const PickleValue& value) {
    const auto [known, is_new] = known_.emplace(&value, false);
    if (is_new) known->second = has_tensors(value);
    return known->second;
  }

 private:
  std::unordered_map<const PickleValue*, bool> known_;
};

std::vector<MappedTensor> place_tensors(const TorchArchive& archive, const PickleValue& state) {
  std::vector<MappedTensor> tensors;
  for (std::size_t i = 0; i + 1 < state.items.size(); i += 2) {
    const PickleValue* tensor = as_tensor(*state.items[i + 1]);
    if (tensor == nullptr) continue;
    require(tensors.size() < kMaxNames, archive.name(), "expected at most {} tensors", kMaxNames);
    const std::optional<std::string> name = name_of(*state.items[i], archive.name());
    if (name) tensors.push_back(archive.place(*tensor, *name));
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
  TensorDicts dicts;
  if (root.is(Kind::dict)) {
    for (std::size_t i = 0; i + 1 < root.items.size(); i += 2) {
      if (!root.items[i]->is(Kind::text) || !dicts.contains(*root.items[i + 1])) continue;
      require(candidates.size() < kMaxNames, where, "expected at most {} state dicts", kMaxNames);
      candidates.push_back(tensor_name(root.items[i]->text, where));
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
      if (value.text.size() > kMaxTextBytes) return nullptr;
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
void read_others(const PickleValue& root, const std::string& where, TorchCheckpoint& checkpoint) {
  std::size_t budget = kMaxPlainValues;
  TensorDicts dicts;
  for (std::size_t i = 0; i + 1 < root.items.size(); i += 2) {
    const PickleValue& value = *root.items[i + 1];
    if (!root.items[i]->is(Kind::text)) continue;
    std::string key = tensor_name(root.items[i]->text, where);
    if (key == checkpoint.state_key) continue;
    require(checkpoint.ignored.size() < kMaxNames, where,
            "expected at most {} things beside the state dict", kMaxNames);
    if (dicts.contains(value) || as_tensor(value)) {
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
  TorchCheckpoint checkpoint;
  checkpoint.is_script = archive.is_script();
  if (checkpoint.is_script) {
    checkpoint.weights =
        std::make_unique<MappedWeights>(archive.name(), script_tensors(archive, pickle.root()));
    return checkpoint;
  }
  const State state = find_state(pickle.root(), key, archive.name());
  checkpoint.state_key = state.key;
  checkpoint.weights =
      std::make_unique<MappedWeights>(archive.name(), place_tensors(archive, *state.dict));
  if (!state.key.empty()) read_others(pickle.root(), archive.name(), checkpoint);
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
