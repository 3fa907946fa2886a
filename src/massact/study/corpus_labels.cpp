#include "massact/study/corpus_labels.h"

#include "massact/model/embedding.h"

namespace massact {
namespace {

constexpr std::int64_t kCharsAround = 24;

}  // namespace

CorpusLabels::CorpusLabels(const Corpus& corpus, PositionLists lists, std::int64_t prefix_rows)
    : corpus_(corpus), lists_(std::move(lists)), prefix_rows_(prefix_rows) {}

std::string_view CorpusLabels::position_class(std::int64_t sequence, std::int64_t position) const {
  if (position < prefix_rows_) return "sink";
  auto& classes = classes_[sequence];
  if (classes.empty()) classes = classify(corpus_.token_texts(sequence), lists_);
  return position_class_name(classes.at(static_cast<std::size_t>(position - prefix_rows_)));
}

std::int32_t CorpusLabels::token_id(std::int64_t sequence, std::int64_t position) const {
  if (position < prefix_rows_) return kNoToken;
  return corpus_.sequences()
      .at(static_cast<std::size_t>(sequence))
      .tokens.at(static_cast<std::size_t>(position - prefix_rows_));
}

std::string CorpusLabels::token_text(std::int64_t sequence, std::int64_t position) const {
  if (position < prefix_rows_) return "<sink>";
  return corpus_.token_text(sequence, position - prefix_rows_);
}

std::string CorpusLabels::text_before(std::int64_t sequence, std::int64_t position) const {
  if (position < prefix_rows_) return "";
  return corpus_.context(sequence, position - prefix_rows_, kCharsAround, 0).before;
}

std::string CorpusLabels::text_after(std::int64_t sequence, std::int64_t position) const {
  if (position < prefix_rows_) return "";
  return corpus_.context(sequence, position - prefix_rows_, 0, kCharsAround).after;
}

}  // namespace massact
