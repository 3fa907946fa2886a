// What the positions of a corpus are, for findings.
#pragma once

#include <map>
#include <vector>

#include "massact/run/finding.h"
#include "massact/text/corpus.h"
#include "massact/text/position_class.h"

namespace massact {

/// Labels of a text's positions. Not thread-safe (classifies a sequence when first asked).
class CorpusLabels final : public PositionLabels {
 public:
  /// `prefix_rows` rows stand before each sequence's first token (the sink token): they are called
  /// "sink", and positions count from the first of them. `corpus` must outlive this.
  CorpusLabels(const Corpus& corpus, PositionLists lists, std::int64_t prefix_rows);

  std::string_view position_class(std::int64_t sequence, std::int64_t position) const override;
  std::int32_t token_id(std::int64_t sequence, std::int64_t position) const override;
  std::string token_text(std::int64_t sequence, std::int64_t position) const override;
  std::string text_before(std::int64_t sequence, std::int64_t position) const override;
  std::string text_after(std::int64_t sequence, std::int64_t position) const override;

 private:
  const Corpus& corpus_;
  PositionLists lists_;
  std::int64_t prefix_rows_;
  mutable std::map<std::int64_t, std::vector<PositionClass>> classes_;  // by sequence
};

}  // namespace massact
