#include "massact/study/ablate_labels.h"

#include <fmt/format.h>

#include <algorithm>

#include "massact/model/embedding.h"

namespace massact {
namespace {

constexpr std::int64_t kTokensAround = 6;

}  // namespace

TokenLabels::TokenLabels(std::vector<Plan::Tokens> sequences, const Tokenizer* tokenizer,
                         PositionLists lists, std::int64_t prefix_rows)
    : sequences_(std::move(sequences)),
      tokenizer_(tokenizer),
      lists_(std::move(lists)),
      prefix_rows_(prefix_rows) {}

std::string_view TokenLabels::position_class(std::int64_t sequence, std::int64_t position) const {
  if (position < prefix_rows_) return "sink";
  auto& classes = classes_[sequence];
  if (classes.empty()) {
    std::vector<std::string> texts;
    const auto count = std::ssize(sequences_.at(static_cast<std::size_t>(sequence)));
    for (std::int64_t p = 0; p < count; ++p) {
      texts.push_back(token_text(sequence, p + prefix_rows_));
    }
    classes = classify(texts, lists_);
  }
  return position_class_name(classes.at(static_cast<std::size_t>(position - prefix_rows_)));
}

std::int32_t TokenLabels::token_id(std::int64_t sequence, std::int64_t position) const {
  if (position < prefix_rows_) return kNoToken;
  return sequences_.at(static_cast<std::size_t>(sequence))
      .at(static_cast<std::size_t>(position - prefix_rows_));
}

std::string TokenLabels::token_text(std::int64_t sequence, std::int64_t position) const {
  const std::int32_t id = token_id(sequence, position);
  if (id == kNoToken) return "<sink>";
  const bool known = tokenizer_ != nullptr && id < tokenizer_->vocab_size();
  return known ? tokenizer_->token_text(id) : fmt::format("#{}", id);
}

std::string TokenLabels::text_of(std::int64_t sequence, std::int64_t begin,
                                 std::int64_t end) const {
  const auto count = std::ssize(sequences_.at(static_cast<std::size_t>(sequence)));
  std::string text;
  for (std::int64_t p = std::max(begin, prefix_rows_); p < std::min(end, count + prefix_rows_);
       ++p) {
    text += token_text(sequence, p);
  }
  return text;
}

std::string TokenLabels::text_before(std::int64_t sequence, std::int64_t position) const {
  return text_of(sequence, position - kTokensAround, position);
}

std::string TokenLabels::text_after(std::int64_t sequence, std::int64_t position) const {
  return text_of(sequence, position + 1, position + 1 + kTokensAround);
}

}  // namespace massact
