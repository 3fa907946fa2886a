#include "massact/text/normalizer.h"

#include <unicode/bytestream.h>
#include <unicode/edits.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>

#include <algorithm>
#include <limits>

#include "massact/base/error.h"
#include "massact/text/byte_level.h"
#include "massact/text/utf8.h"

namespace massact {
namespace {

constexpr std::size_t kMostSteps = 64;
constexpr std::size_t kMostGrowth = 64;            // times the text's bytes,
constexpr std::size_t kGrowthOfAny = 1024 * 1024;  // and this many

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

// Replaces every character c for which `change(c, written)` is true by `written`.
template <typename Change>
AlignedText change_characters(const AlignedText& text, const Change& change) {
  AlignedWriter writer(text);
  std::string written;
  for (std::size_t at = 0; at < text.view().size();) {
    const std::size_t begin = at;
    const char32_t c = next_character(text.view(), at);
    written.clear();
    if (!change(c, written)) continue;
    writer.keep_until(static_cast<std::int64_t>(begin));
    writer.replace_until(static_cast<std::int64_t>(at), written);
  }
  return writer.finish();
}

std::uint32_t category_of(char32_t c) { return U_GET_GC_MASK(static_cast<UChar32>(c)); }

bool lower(char32_t c, std::string& written) {
  constexpr char32_t kDottedI = 0x130;  // the one character that becomes two
  if (c == kDottedI) {
    written = "i\u0307";
    return true;
  }
  const auto small = static_cast<char32_t>(u_tolower(static_cast<UChar32>(c)));
  if (small != c) append_utf8(written, small);
  return small != c;
}

bool clean(char32_t c, std::string& written) {
  constexpr std::uint32_t kOthers = U_GC_CC_MASK | U_GC_CF_MASK | U_GC_CO_MASK;
  const bool plain = c == '\t' || c == '\n' || c == '\r';
  if (!plain && (c == kReplacementCharacter || (category_of(c) & kOthers) != 0)) return true;
  if (c == ' ' || !is_white_space(c)) return false;
  written = " ";
  return true;
}

bool is_ideograph(char32_t c) {
  constexpr std::pair<char32_t, char32_t> kRanges[] = {
      {0x4E00, 0x9FFF},   {0x3400, 0x4DBF},   {0x20000, 0x2A6DF}, {0x2A700, 0x2B73F},
      {0x2B740, 0x2B81F}, {0x2B920, 0x2CEAF}, {0xF900, 0xFAFF},   {0x2F800, 0x2FA1F}};
  for (const auto& [first, last] : kRanges)
    if (first <= c && c <= last) return true;
  return false;
}

AlignedText space_ideographs(const AlignedText& text) {
  AlignedWriter writer(text);
  for (std::size_t at = 0; at < text.view().size();) {
    const std::size_t begin = at;
    if (!is_ideograph(next_character(text.view(), at))) continue;
    writer.keep_until(static_cast<std::int64_t>(begin));
    writer.replace_until(static_cast<std::int64_t>(begin), " ");
    writer.keep_until(static_cast<std::int64_t>(at));
    writer.replace_until(static_cast<std::int64_t>(at), " ");
  }
  return writer.finish();
}

AlignedText strip(const AlignedText& text, const Normalizer::Strip& sides) {
  std::size_t first = text.view().size();
  std::size_t last = 0;
  for (std::size_t at = 0; at < text.view().size();) {
    const std::size_t begin = at;
    if (is_white_space(next_character(text.view(), at))) continue;
    first = std::min(first, begin);
    last = at;
  }
  if (last == 0) return text.slice(0, 0);  // nothing else in it
  if (!sides.left) first = 0;
  if (!sides.right) last = text.view().size();
  return text.slice(static_cast<std::int64_t>(first), static_cast<std::int64_t>(last));
}

AlignedText strip_accents(const AlignedText& text, bool nonspacing_only) {
  const std::uint32_t marks = nonspacing_only ? U_GC_MN_MASK : U_GC_M_MASK;
  return change_characters(text,
                           [&](char32_t c, std::string&) { return (category_of(c) & marks) != 0; });
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

AlignedText byte_characters(const AlignedText& text) {
  AlignedWriter writer(text);
  const std::string_view view = text.view();
  std::string written;
  for (std::size_t at = 0; at < view.size(); ++at) {
    const auto byte = static_cast<unsigned char>(view[at]);
    const char32_t visible = byte_level_character(byte);
    if (visible < 0x80) continue;
    written.clear();
    append_utf8(written, visible);
    writer.keep_until(static_cast<std::int64_t>(at));
    writer.replace_until(static_cast<std::int64_t>(at) + 1, written);
  }
  return writer.finish();
}

void check_growth(std::size_t bytes, std::size_t original_bytes) {
  const std::size_t most = kMostGrowth * original_bytes + kGrowthOfAny;
  require(
      bytes <= most, "tokenizer",
      "expected {} bytes of text to become at most {}, got {} (the tokenizer's steps blow it up)",
      original_bytes, most, bytes);
}

Normalizer::Normalizer(std::vector<Step> steps) : steps_(std::move(steps)) {
  require(steps_.size() <= kMostSteps, "normalizer", "expected at most {} steps, got {}",
          kMostSteps, steps_.size());
}

bool Normalizer::changes_spaces_only() const {
  for (const Step& step : steps_) {
    if (std::holds_alternative<Prepend>(step)) continue;
    const auto* replacement = std::get_if<Replace>(&step);
    const auto* literal =
        replacement == nullptr ? nullptr : std::get_if<std::string>(&replacement->pattern);
    if (literal == nullptr || *literal != " ") return false;
  }
  return true;
}

namespace {

// Applies one step to a text.
struct Applier {
  const AlignedText& text;
  bool at_start;

  AlignedText operator()(UnicodeForm form) const { return normalize(text, form); }
  AlignedText operator()(const Normalizer::Prepend& added) const {
    return at_start && !text.empty() ? prepend(text, added.text) : text;
  }
  AlignedText operator()(const Normalizer::Replace& replacement) const {
    return std::visit(
        [&](const auto& pattern) { return replace_all(text, pattern, replacement.content); },
        replacement.pattern);
  }
  AlignedText operator()(Normalizer::Lowercase) const { return change_characters(text, lower); }
  AlignedText operator()(const Normalizer::Strip& sides) const { return strip(text, sides); }
  AlignedText operator()(const Normalizer::StripAccents& step) const {
    return strip_accents(text, step.nonspacing_only);
  }
  AlignedText operator()(Normalizer::CleanText) const { return change_characters(text, clean); }
  AlignedText operator()(Normalizer::SpaceIdeographs) const { return space_ideographs(text); }
  AlignedText operator()(Normalizer::ByteCharacters) const { return byte_characters(text); }
  AlignedText operator()(const Charsmap& map) const { return map.apply(text); }
};

}  // namespace

AlignedText Normalizer::apply(const AlignedText& text, bool at_start) const {
  AlignedText result = text;
  for (const Step& step : steps_) {
    AlignedText next = std::visit(Applier{result, at_start}, step);
    check_growth(next.view().size(), text.view().size());
    result = std::move(next);
  }
  return result;
}

}  // namespace massact
