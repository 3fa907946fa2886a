// The text of `massact explain` in parts: explain_text.cpp tells of findings and weights,
// explain_attention_text.cpp of attention. Internal to the room.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "massact/report/numbers.h"
#include "massact/report/table.h"
#include "massact/report/text_style.h"
#include "massact/study/explain.h"

namespace massact::explain_page {

/// Heads that a sentence names at most.
inline constexpr std::size_t kShownHeads = 3;

/// The text so far: titles, paragraphs wrapped to the style's width, tables.
class Page {
 public:
  explicit Page(const TextStyle& style) : style_(style) {}
  void title(std::string_view text) { out_ += "\n" + wrap(text, style_) + "\n"; }
  void paragraph(const std::string& text) { out_ += wrap(text, style_) + "\n"; }
  void gap() { out_ += "\n"; }
  void lines(const std::string& text) { out_ += text; }
  void table(const TableRows& rows) { out_ += table_text(rows, style_); }
  std::string take() { return std::move(out_); }
  const TextStyle& style() const { return style_; }
  std::string times() const { return style_.utf8 ? "×" : "x"; }
  std::string safe(std::string_view text) const { return printable(text, style_); }

 private:
  TextStyle style_;
  std::string out_;
};

/// "a, b and c".
std::string join_words(const std::vector<std::string>& words);

/// Steps 2 to 5 of the page; those that have nothing to say add nothing.
void add_path(const ExplainResult& result, Page& page);
void add_sinks(const ExplainResult& result, Page& page);
void add_bias(const ExplainResult& result, Page& page);
void add_replacement(const ExplainResult& result, Page& page);

}  // namespace massact::explain_page
