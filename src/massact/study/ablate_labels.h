// What the positions of scored windows are.
#pragma once

#include <map>
#include <vector>

#include "massact/run/finding.h"
#include "massact/run/plan.h"
#include "massact/text/position_class.h"
#include "massact/text/tokenizer.h"

namespace massact {

/// Labels of token sequences that need not be consecutive pieces of one text. Without a tokenizer
/// tokens read "#17", and only `start` and `other` are told apart. Not thread-safe (classifies a
/// sequence when first asked).
class TokenLabels final : public PositionLabels {
 public:
  /// `sequences` without prefix rows; `prefix_rows` rows, called "sink", stand before each.
  TokenLabels(std::vector<Plan::Tokens> sequences, const Tokenizer* tokenizer, PositionLists lists,
              std::int64_t prefix_rows);

  std::string_view position_class(std::int64_t sequence, std::int64_t position) const override;
  std::int32_t token_id(std::int64_t sequence, std::int64_t position) const override;
  std::string token_text(std::int64_t sequence, std::int64_t position) const override;
  std::string text_before(std::int64_t sequence, std::int64_t position) const override;
  std::string text_after(std::int64_t sequence, std::int64_t position) const override;

 private:
  std::string text_of(std::int64_t sequence, std::int64_t begin, std::int64_t end) const;

  std::vector<Plan::Tokens> sequences_;
  const Tokenizer* tokenizer_;
  PositionLists lists_;
  std::int64_t prefix_rows_;
  mutable std::map<std::int64_t, std::vector<PositionClass>> classes_;  // by sequence
};

}  // namespace massact
