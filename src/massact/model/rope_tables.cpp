#include "massact/model/rope_tables.h"

#include <algorithm>

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

const ops::RopeTable& RopeTables::for_length(std::int64_t length, bool local) const {
  const ByLength& tables = local && !local_.empty() ? local_ : everywhere_;
  const auto all = tables.find(0);
  return all != tables.end() ? all->second : tables.at(length);
}

}  // namespace massact
