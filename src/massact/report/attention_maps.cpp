#include "massact/report/attention_maps.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "massact/base/error.h"
#include "massact/io/npy.h"

namespace massact {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr std::int64_t kMaxQueries = 64;
constexpr double kDigits = 1e4;  // a colour needs no more

Json rows_of(const FloatArray& array, std::int64_t queries, std::int64_t columns) {
  Json rows = Json::array();
  for (std::int64_t q = 0; q < queries; ++q) {
    Json row = Json::array();
    for (std::int64_t k = 0; k < columns; ++k) {
      const float value = array.values[static_cast<std::size_t>(q * array.shape[1] + k)];
      row.push_back(std::round(static_cast<double>(value) * kDigits) / kDigits);
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

Json map_of(const Json& entry, const fs::path& directory) {
  const Json& file = entry.at("probabilities");
  require(file.is_string(), "explain.json: maps",
          "expected the name of a file with probabilities, got none");
  // A name, not a way out of the directory.
  const fs::path path = directory / fs::path(file.get<std::string>()).filename();
  const FloatArray array = read_npy_floats(path);
  require(array.shape.rank() == 2, path.string(), "expected a matrix, got shape {}",
          array.shape.to_string());
  const bool slot = entry.at("slot").get<bool>();
  const std::int64_t queries = std::min(array.shape[0], kMaxQueries);
  const std::int64_t columns = std::min(array.shape[1], queries + (slot ? 1 : 0));
  return {{"layer", entry.at("layer").get<int>()},
          {"head", entry.at("head")},
          {"sequence", entry.at("sequence").get<std::int64_t>()},
          {"slot", slot},
          {"probabilities", rows_of(array, queries, columns)}};
}

}  // namespace

std::vector<Json> attention_maps(const Json& explain, const fs::path& directory,
                                 std::vector<MissingPart>& missing) {
  std::vector<Json> maps;
  try {
    for (const Json& entry : explain.at("maps")) maps.push_back(map_of(entry, directory));
  } catch (const std::exception& problem) {
    missing.push_back(
        {"an attention map", problem.what(), "`massact explain --map LAYER,HEAD` writes it anew."});
  }
  return maps;
}

}  // namespace massact
