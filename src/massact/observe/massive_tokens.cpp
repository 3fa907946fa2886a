#include "massact/observe/massive_tokens.h"

#include <algorithm>
#include <cmath>

namespace massact::observe {

std::vector<std::int64_t> MassiveTokens::at(int block, std::int64_t sequence) const {
  if (magnitudes_ == nullptr) {
    const auto layer = lists_.find(block);
    if (layer == lists_.end()) return {};
    const auto list = layer->second.find(sequence);
    return list == layer->second.end() ? std::vector<std::int64_t>{} : list->second;
  }
  std::vector<std::int64_t> positions;
  const auto layer = magnitudes_->layers().find(block);
  if (layer == magnitudes_->layers().end()) return positions;
  const auto& sequences = layer->second.sequences;
  const auto it = std::lower_bound(
      sequences.begin(), sequences.end(), sequence,
      [](const SequenceMagnitudes& s, std::int64_t wanted) { return s.sequence < wanted; });
  if (it == sequences.end() || it->sequence != sequence) return positions;
  for (const Magnitude& m : it->top) {
    if (rule_.met_by(std::abs(static_cast<double>(m.value)), it->median())) {
      positions.push_back(m.position);
    }
  }
  std::sort(positions.begin(), positions.end());
  positions.erase(std::unique(positions.begin(), positions.end()), positions.end());
  return positions;
}

}  // namespace massact::observe
