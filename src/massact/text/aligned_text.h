// A text made from another by replacing parts of it, which remembers where each byte came from.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "massact/text/tokenizer.h"

namespace massact {

/// An immutable text with its alignment to an original. Copies and slices share the storage.
/// Texts are limited to 4 GiB.
class AlignedText {
 public:
  /// The original itself; `text` must outlive it and everything sliced from it.
  explicit AlignedText(std::string_view text);

  std::string_view view() const { return view_; }
  bool empty() const { return view_.empty(); }

  /// The smallest span of the original that bytes [begin, end) come from.
  ByteSpan origin(std::int64_t begin, std::int64_t end) const;

  /// Bytes [begin, end) of this text, aligned to the same original.
  AlignedText slice(std::int64_t begin, std::int64_t end) const;

 private:
  friend class AlignedWriter;
  friend class OriginCursor;

  // Bytes [begin, end) of this text come from [origin_begin, origin_end) of the original. Between
  // patches bytes map one to one, going on from the end of the patch before.
  struct Patch {
    std::uint32_t begin, end, origin_begin, origin_end;
  };

  AlignedText() = default;
  std::size_t patch_after(std::int64_t position) const;
  std::int64_t origin_of(std::size_t next_patch, std::int64_t position, bool end) const;

  std::shared_ptr<const std::string> storage_;  // null if the view is the original itself
  std::string_view view_;
  std::int64_t origin_base_ = 0;  // where byte 0 comes from, unless a patch says otherwise
  std::vector<Patch> patches_;    // in order
};

/// Writes a new text from front to back of `source`: every byte of the source is either kept or
/// replaced, in order.
class AlignedWriter {
 public:
  explicit AlignedWriter(const AlignedText& source);

  /// Copies the source's bytes from where the writer is up to `end`.
  void keep_until(std::int64_t end);
  /// Writes `text` for the source's bytes from where the writer is up to `end`.
  void replace_until(std::int64_t end, std::string_view text);
  /// Keeps the rest and returns the new text.
  AlignedText finish();

 private:
  const AlignedText& source_;
  AlignedText result_;
  std::string text_;
  std::int64_t at_ = 0;
  std::size_t next_patch_ = 0;
};

/// `text` with every maximal ill-formed part of its UTF-8 replaced by U+FFFD.
AlignedText replace_invalid_utf8(const AlignedText& text);

/// Reads origins in order, in constant time each.
class OriginCursor {
 public:
  explicit OriginCursor(const AlignedText& text) : text_(text) {}
  /// As `AlignedText::origin`; `begin` must not decrease from call to call.
  ByteSpan span(std::int64_t begin, std::int64_t end);

 private:
  const AlignedText& text_;
  std::size_t next_patch_ = 0;
};

}  // namespace massact
