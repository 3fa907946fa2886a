// Oniguruma's regular expressions (what tokenizer files hold) in the words of PCRE2.
#pragma once

#include <string>
#include <string_view>

namespace massact {

/// `pattern` (valid UTF-8, Oniguruma's Ruby syntax as HF tokenizers runs it) as a PCRE2 pattern for
/// PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE that matches the same. What differs and is rewritten:
/// \s \w \d \h \b and POSIX brackets mean Oniguruma's sets, `(?m)` lets the dot match a newline,
/// classes may nest and intersect (`[a[^b]&&c]`), properties have long names. Throws Error naming
/// `where` for what PCRE2 would silently read otherwise: verbs `(*...)`, \Q, `{1,2}+`.
std::string pcre2_pattern(std::string_view pattern, std::string_view where);

}  // namespace massact
