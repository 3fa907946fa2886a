#include "massact/text/normalizer.h"

#include <unicode/bytestream.h>
#include <unicode/edits.h>
#include <unicode/normalizer2.h>

#include <limits>

#include "massact/base/error.h"
#include "massact/text/utf8.h"

namespace massact {
namespace {

const icu::Normalizer2& instance(UnicodeForm form) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* normalizer = nullptr;
  switch (form) {
    case UnicodeForm::nfc:
      normalizer = icu::Normalizer2::getNFCInstance(status);
      break;
    case UnicodeForm::nfd:
      normalizer = icu::Normalizer2::getNFDInstance(status);
      break;
    case UnicodeForm::nfkc:
      normalizer = icu::Normalizer2::getNFKCInstance(status);
      break;
    case UnicodeForm::nfkd:
      normalizer = icu::Normalizer2::getNFKDInstance(status);
      break;
  }
  require(U_SUCCESS(status), "normalizer", "expected ICU's normalisation data, got {}",
          u_errorName(status));
  return *normalizer;
}

AlignedText normalize(const AlignedText& text, UnicodeForm form) {
  const icu::Normalizer2& normalizer = instance(form);
  require(text.view().size() <= std::numeric_limits<std::int32_t>::max(), "normalizer",
          "expected a text of less than 2 GiB, got {} bytes", text.view().size());
  const icu::StringPiece source(text.view().data(), static_cast<std::int32_t>(text.view().size()));
  UErrorCode status = U_ZERO_ERROR;
  if (normalizer.isNormalizedUTF8(source, status) && U_SUCCESS(status)) return text;

  std::string normal;
  icu::StringByteSink<std::string> sink(&normal);
  icu::Edits edits;
  status = U_ZERO_ERROR;
  normalizer.normalizeUTF8(0, source, sink, &edits, status);
  require(U_SUCCESS(status), "normalizer", "expected text that can be normalised, got {}",
          u_errorName(status));
  AlignedWriter writer(text);
  auto change = edits.getFineChangesIterator();
  while (change.next(status)) {
    writer.keep_until(change.sourceIndex());
    writer.replace_until(
        change.sourceIndex() + change.oldLength(),
        std::string_view(normal).substr(static_cast<std::size_t>(change.destinationIndex()),
                                        static_cast<std::size_t>(change.newLength())));
  }
  return writer.finish();
}

}  // namespace

AlignedText replace_all(const AlignedText& text, std::string_view literal,
                        std::string_view content) {
  AlignedWriter writer(text);
  const std::string_view view = text.view();
  for (auto at = view.find(literal); at != std::string_view::npos;
       at = view.find(literal, at + literal.size())) {
    writer.keep_until(static_cast<std::int64_t>(at));
    writer.replace_until(static_cast<std::int64_t>(at + literal.size()), content);
  }
  return writer.finish();
}

AlignedText replace_all(const AlignedText& text, const Regex& pattern, std::string_view content) {
  RegexMatcher matcher(pattern);
  AlignedWriter writer(text);
  const std::string_view view = text.view();
  std::size_t at = 0;
  while (const auto match = matcher.find(view, at)) {
    writer.keep_until(static_cast<std::int64_t>(match->begin));
    writer.replace_until(static_cast<std::int64_t>(match->end), content);
    at = match->end;
    if (match->begin == match->end) {  // an empty match: go on behind the next character
      if (at >= view.size()) break;
      at += static_cast<std::size_t>(utf8_length(static_cast<unsigned char>(view[at])));
    }
  }
  return writer.finish();
}

AlignedText prepend(const AlignedText& text, std::string_view prefix) {
  AlignedWriter writer(text);
  writer.replace_until(0, prefix);
  return writer.finish();
}

bool Normalizer::changes_spaces_only() const {
  for (const Step& step : steps_) {
    if (std::holds_alternative<UnicodeForm>(step)) return false;
    const auto* replacement = std::get_if<Replace>(&step);
    if (replacement == nullptr) continue;
    const auto* literal = std::get_if<std::string>(&replacement->pattern);
    if (literal == nullptr || *literal != " ") return false;
  }
  return true;
}

AlignedText Normalizer::apply(const AlignedText& text, bool at_start) const {
  AlignedText result = text;
  for (const Step& step : steps_) {
    if (const auto* form = std::get_if<UnicodeForm>(&step)) {
      result = normalize(result, *form);
    } else if (const auto* added = std::get_if<Prepend>(&step)) {
      if (at_start && !result.empty()) result = prepend(result, added->text);
    } else {
      const auto& replacement = std::get<Replace>(step);
      result = std::visit(
          [&](const auto& pattern) { return replace_all(result, pattern, replacement.content); },
          replacement.pattern);
    }
  }
  return result;
}

}  // namespace massact
