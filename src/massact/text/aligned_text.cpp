#include "massact/text/aligned_text.h"

#include <algorithm>
#include <limits>

#include "massact/base/error.h"
#include "massact/text/utf8.h"

namespace massact {
namespace {

std::uint32_t narrow(std::int64_t position) {
  require(position <= std::numeric_limits<std::uint32_t>::max(), "text",
          "expected a text of less than 4 GiB, got more (split the file)");
  return static_cast<std::uint32_t>(position);
}

}  // namespace

AlignedText::AlignedText(std::string_view text) : view_(text) {
  narrow(static_cast<std::int64_t>(text.size()));
}

std::size_t AlignedText::patch_after(std::int64_t position) const {
  const auto next =
      std::upper_bound(patches_.begin(), patches_.end(), position,
                       [](std::int64_t value, const Patch& patch) { return value < patch.begin; });
  return static_cast<std::size_t>(next - patches_.begin());
}

// `next_patch` is the first patch that begins behind `position`; `end` asks for the end of the
// byte's origin instead of its beginning.
std::int64_t AlignedText::origin_of(std::size_t next_patch, std::int64_t position, bool end) const {
  if (next_patch == 0) return origin_base_ + position + (end ? 1 : 0);
  const Patch& patch = patches_[next_patch - 1];
  if (position < patch.end) return end ? patch.origin_end : patch.origin_begin;
  return patch.origin_end + (position - patch.end) + (end ? 1 : 0);
}

ByteSpan AlignedText::origin(std::int64_t begin, std::int64_t end) const {
  const std::int64_t first = origin_of(patch_after(begin), begin, false);
  if (begin == end) return {first, first};
  return {first, origin_of(patch_after(end - 1), end - 1, true)};
}

AlignedText AlignedText::slice(std::int64_t begin, std::int64_t end) const {
  AlignedText part;
  part.storage_ = storage_;
  part.view_ = view_.substr(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
  const std::size_t first = patch_after(begin);
  if (first > 0 && begin < patches_[first - 1].end) {
    const Patch& cut = patches_[first - 1];
    part.patches_.push_back(
        {0, static_cast<std::uint32_t>(std::min<std::int64_t>(cut.end, end) - begin),
         cut.origin_begin, cut.origin_end});
  } else {
    part.origin_base_ = origin_of(first, begin, false);
  }
  for (std::size_t i = first; i < patches_.size() && patches_[i].begin < end; ++i) {
    const Patch& patch = patches_[i];
    part.patches_.push_back(
        {static_cast<std::uint32_t>(patch.begin - begin),
         static_cast<std::uint32_t>(std::min<std::int64_t>(patch.end, end) - begin),
         patch.origin_begin, patch.origin_end});
  }
  return part;
}

AlignedWriter::AlignedWriter(const AlignedText& source) : source_(source) {
  result_.origin_base_ = source.origin_base_;
  text_.reserve(source.view().size() + source.view().size() / 8 + 16);
}

void AlignedWriter::keep_until(std::int64_t end) {
  const std::int64_t shift = static_cast<std::int64_t>(text_.size()) - at_;
  const auto& patches = source_.patches_;
  // A patch that the writer stands inside of goes on here.
  if (next_patch_ > 0 && patches[next_patch_ - 1].end > at_ && at_ < end) {
    const auto& patch = patches[next_patch_ - 1];
    const std::int64_t stop = std::min<std::int64_t>(patch.end, end);
    result_.patches_.push_back(
        {narrow(at_ + shift), narrow(stop + shift), patch.origin_begin, patch.origin_end});
  }
  for (; next_patch_ < patches.size() && patches[next_patch_].begin < end; ++next_patch_) {
    const auto& patch = patches[next_patch_];
    const std::int64_t stop = std::min<std::int64_t>(patch.end, end);
    result_.patches_.push_back(
        {narrow(patch.begin + shift), narrow(stop + shift), patch.origin_begin, patch.origin_end});
  }
  text_ +=
      source_.view().substr(static_cast<std::size_t>(at_), static_cast<std::size_t>(end - at_));
  narrow(static_cast<std::int64_t>(text_.size()));
  at_ = end;
}

void AlignedWriter::replace_until(std::int64_t end, std::string_view text) {
  const ByteSpan origin = source_.origin(at_, end);
  const auto begin = narrow(static_cast<std::int64_t>(text_.size()));
  text_ += text;
  result_.patches_.push_back({begin, narrow(static_cast<std::int64_t>(text_.size())),
                              narrow(origin.begin), narrow(origin.end)});
  while (next_patch_ < source_.patches_.size() && source_.patches_[next_patch_].begin < end)
    ++next_patch_;
  at_ = end;
}

AlignedText AlignedWriter::finish() {
  keep_until(static_cast<std::int64_t>(source_.view().size()));
  result_.storage_ = std::make_shared<const std::string>(std::move(text_));
  result_.view_ = *result_.storage_;
  return std::move(result_);
}

AlignedText replace_invalid_utf8(const AlignedText& text) {
  constexpr std::string_view kReplacement = "\uFFFD";
  AlignedWriter writer(text);
  for (std::size_t at = 0; at < text.view().size();) {
    const std::size_t begin = at;
    const bool is_replacement = next_character(text.view(), at) == kReplacementCharacter &&
                                text.view().substr(begin, at - begin) != kReplacement;
    if (!is_replacement) continue;
    writer.keep_until(static_cast<std::int64_t>(begin));
    writer.replace_until(static_cast<std::int64_t>(at), kReplacement);
  }
  return writer.finish();
}

ByteSpan OriginCursor::span(std::int64_t begin, std::int64_t end) {
  const auto& patches = text_.patches_;
  const auto advance = [&](std::size_t from, std::int64_t position) {
    while (from < patches.size() && patches[from].begin <= position) ++from;
    return from;
  };
  next_patch_ = advance(next_patch_, begin);
  const std::int64_t first = text_.origin_of(next_patch_, begin, false);
  if (begin == end) return {first, first};
  return {first, text_.origin_of(advance(next_patch_, end - 1), end - 1, true)};
}

}  // namespace massact
