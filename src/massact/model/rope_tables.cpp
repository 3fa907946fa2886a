#include "massact/model/rope_tables.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace massact {

RopeTables::ByLength RopeTables::tables_of(const RopeConfig& rope,
                                           std::span<const std::int64_t> lengths) {
  ByLength tables;
  const auto factor = static_cast<float>(rope.attention_factor);
  if (!rope.depends_on_length()) {
    const std::int64_t longest = *std::max_element(lengths.begin(), lengths.end());
    tables[0] = ops::RopeTable(rope_frequencies(rope, longest), factor, longest);
    return tables;
  }
  for (const std::int64_t length : lengths) {
    if (tables.contains(length)) continue;
    tables[length] = ops::RopeTable(rope_frequencies(rope, length), factor, length);
  }
  return tables;
}

RopeTables::RopeTables(const ModelConfig& config, std::span<const std::int64_t> lengths) {
  if (config.positions != PositionKind::rotary || lengths.empty()) return;
  everywhere_ = tables_of(config.rope, lengths);
  if (config.local_rope) local_ = tables_of(*config.local_rope, lengths);
}

RopeTables::RopeTables(const ModelConfig& config, PatchGrid grid, std::int64_t added) {
  if (config.positions != PositionKind::rotary) return;
  const std::int64_t before = config.prefix_rows() + config.vision.leading_tokens();
  const std::int64_t pairs = config.head_size / 2, frequencies = pairs / 2;
  const std::vector<float> still(static_cast<std::size_t>(pairs), 0.0f);
  ops::RopeTable table(still, 1.0f, before + grid.count() + added);  // no row turns
  const auto centre = [](std::int64_t i, std::int64_t count) {
    return 2.0 * ((static_cast<double>(i) + 0.5) / static_cast<double>(count)) - 1.0;
  };
  for (std::int64_t patch = 0; patch < grid.count(); ++patch) {
    const double places[] = {centre(patch / grid.columns, grid.rows),
                             centre(patch % grid.columns, grid.columns)};
    for (std::int64_t pair = 0; pair < pairs; ++pair) {
      const double frequency = std::pow(config.rope.base, -static_cast<double>(pair % frequencies) /
                                                              static_cast<double>(frequencies));
      const double angle = 2.0 * std::numbers::pi * places[pair / frequencies] * frequency;
      table.cos[(before + patch) * pairs + pair] = static_cast<float>(std::cos(angle));
      table.sin[(before + patch) * pairs + pair] = static_cast<float>(std::sin(angle));
    }
  }
  everywhere_[0] = std::move(table);
}

const ops::RopeTable& RopeTables::for_length(std::int64_t length, bool local) const {
  const ByLength& tables = local && !local_.empty() ? local_ : everywhere_;
  const auto all = tables.find(0);
  return all != tables.end() ? all->second : tables.at(length);
}

}  // namespace massact
