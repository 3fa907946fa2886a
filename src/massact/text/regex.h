// Regular expressions of tokenizer files (Oniguruma syntax as HF tokenizers runs them), on PCRE2.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace massact {

/// A compiled pattern. Immutable; matching needs a RegexMatcher per thread.
class Regex {
 public:
  /// Compiles `pattern`, with Unicode classes and \s meaning White_Space as in Oniguruma.
  /// Throws Error naming `where` if it is not a pattern.
  Regex(std::string_view pattern, std::string_view where);
  /// A pattern that matches `text` literally.
  static Regex literal(std::string_view text);

  ~Regex();
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;

 private:
  friend class RegexMatcher;
  struct Code;
  std::unique_ptr<Code> code_;
};

/// The scratch memory for matching one Regex; the Regex must outlive it.
class RegexMatcher {
 public:
  explicit RegexMatcher(const Regex& regex);
  ~RegexMatcher();
  RegexMatcher(RegexMatcher&&) noexcept;

  struct Span {
    std::size_t begin, end;
  };
  /// The first match in `subject` (valid UTF-8) at or behind `start`, which may look behind it.
  std::optional<Span> find(std::string_view subject, std::size_t start);

 private:
  struct Scratch;
  const Regex& regex_;
  std::unique_ptr<Scratch> scratch_;
};

}  // namespace massact
