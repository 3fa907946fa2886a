#include "massact/io/shards.h"

#include <map>

#include "massact/base/error.h"
#include "massact/base/suggest.h"
#include "massact/io/json.h"

namespace massact {
namespace {

constexpr std::uint64_t kMaxIndexBytes = 100'000'000;

using WeightMap = std::map<std::string, std::string>;  // tensor -> shard

WeightMap read_index(const std::filesystem::path& index) {
  const JsonObject map = JsonObject::from_file(index, kMaxIndexBytes).object("weight_map");
  WeightMap shards;
  for (const std::string& tensor : map.keys()) {
    auto shard = map.get<std::string>(tensor);
    // A downloaded index must not make us open files elsewhere.
    require(!shard.empty() && shard != "." && shard != ".." &&
                shard.find('/') == std::string::npos && shard.find('\0') == std::string::npos,
            map.where(tensor), "expected the name of a file beside the index, got {}",
            describe_json(nlohmann::json(shard)));
    shards[tensor] = std::move(shard);
  }
  require(!shards.empty(), index.string(), "expected weight_map to name tensors, got none");
  return shards;
}

}  // namespace

std::unique_ptr<WeightSource> open_sharded(const std::filesystem::path& index,
                                           const MapShard& map) {
  const WeightMap shard_of = read_index(index);
  std::map<std::string, std::vector<MappedTensor>> shards;
  for (const auto& [tensor, shard] : shard_of) shards[shard];
  std::vector<std::string> missing;
  for (const auto& [shard, tensors] : shards) {
    if (!std::filesystem::exists(index.parent_path() / shard)) missing.push_back(shard);
  }
  require(missing.empty(), index.string(), "expected {} shards, got {}; missing: {}", shards.size(),
          shards.size() - missing.size(), list_names(missing));

  WeightMap found;
  std::vector<MappedTensor> all;
  for (auto& [shard, tensors] : shards) {
    tensors = map(index.parent_path() / shard);
    for (MappedTensor& tensor : tensors) {
      const auto [other, first] = found.emplace(tensor.info.name, shard);
      require(first, index.string(), "expected tensor {} in one shard, got it in {} and {}",
              tensor.info.name, other->second, shard);
      all.push_back(std::move(tensor));
    }
  }
  for (const auto& [tensor, shard] : shard_of) {
    const auto place = found.find(tensor);
    require(place != found.end() && place->second == shard, index.string(),
            "expected tensor {} in {}, got it {}", tensor, shard,
            place == found.end() ? "nowhere" : "in " + place->second);
  }
  return std::make_unique<MappedWeights>(index.parent_path().string(), std::move(all));
}

}  // namespace massact
