#include "massact/text/regex_syntax.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <utility>
#include <vector>

#include "massact/base/error.h"

namespace massact {
namespace {

// Members of classes, to stand between brackets. \s is spelled out since PCRE2's has U+180E, which
// is not white space in Unicode; Oniguruma's \w has the numbers of Latin-1 but no other No.
constexpr std::string_view kSpaces =
    "\\t-\\r \\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}"
    "\\x{3000}";
constexpr std::string_view kWords =
    "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{B2}\\x{B3}\\x{B9}\\x{BC}-\\x{BE}";
constexpr std::string_view kDigits = "\\p{Nd}";
constexpr std::string_view kHexadecimal = "0-9A-Fa-f";

using Name = std::pair<std::string_view, std::string_view>;

// POSIX brackets, which are properties in Oniguruma too.
constexpr auto kPosix = std::to_array<Name>({{"alnum", "\\p{Alphabetic}\\p{Nd}"},
                                             {"alpha", "\\p{Alphabetic}"},
                                             {"blank", "\\t\\p{Zs}"},
                                             {"cntrl", "\\p{Cc}"},
                                             {"digit", kDigits},
                                             {"lower", "\\p{Lowercase}"},
                                             {"punct", "\\p{P}\\p{S}"},
                                             {"space", kSpaces},
                                             {"upper", "\\p{Uppercase}"},
                                             {"word", "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}"},
                                             {"xdigit", kHexadecimal}});

// Long names of general categories, without spaces and lines, in lower case.
constexpr auto kCategories = std::to_array<Name>({{"letter", "L"},
                                                  {"uppercaseletter", "Lu"},
                                                  {"lowercaseletter", "Ll"},
                                                  {"titlecaseletter", "Lt"},
                                                  {"modifierletter", "Lm"},
                                                  {"otherletter", "Lo"},
                                                  {"mark", "M"},
                                                  {"nonspacingmark", "Mn"},
                                                  {"spacingmark", "Mc"},
                                                  {"enclosingmark", "Me"},
                                                  {"number", "N"},
                                                  {"decimalnumber", "Nd"},
                                                  {"letternumber", "Nl"},
                                                  {"othernumber", "No"},
                                                  {"punctuation", "P"},
                                                  {"punct", "P"},
                                                  {"connectorpunctuation", "Pc"},
                                                  {"dashpunctuation", "Pd"},
                                                  {"openpunctuation", "Ps"},
                                                  {"closepunctuation", "Pe"},
                                                  {"initialpunctuation", "Pi"},
                                                  {"finalpunctuation", "Pf"},
                                                  {"otherpunctuation", "Po"},
                                                  {"symbol", "S"},
                                                  {"mathsymbol", "Sm"},
                                                  {"currencysymbol", "Sc"},
                                                  {"modifiersymbol", "Sk"},
                                                  {"othersymbol", "So"},
                                                  {"separator", "Z"},
                                                  {"spaceseparator", "Zs"},
                                                  {"lineseparator", "Zl"},
                                                  {"paragraphseparator", "Zp"},
                                                  {"other", "C"},
                                                  {"control", "Cc"},
                                                  {"format", "Cf"},
                                                  {"unassigned", "Cn"},
                                                  {"privateuse", "Co"}});

template <std::size_t kSize>
std::optional<std::string_view> look_up(const std::array<Name, kSize>& names,
                                        std::string_view name) {
  const auto it = std::find_if(names.begin(), names.end(),
                               [&](const Name& entry) { return entry.first == name; });
  if (it == names.end()) return std::nullopt;
  return it->second;
}

// A set of characters: what can stand between brackets, and what cannot.
struct CharacterSet {
  std::string members;
  std::vector<std::string> others;  // patterns of one character each
  bool negated = false;

  bool plain() const { return others.empty() && !negated; }

  std::string pattern() const {
    if (others.empty()) return (negated ? "[^" : "[") + members + "]";
    std::string any = "(?:";
    for (const std::string& other : others) any += other + "|";
    any += members.empty() ? "(?!)" : "[" + members + "]";
    any += ")";
    return negated ? "(?:(?!" + any + ")(?s:.))" : any;
  }
};

class Translator {
 public:
  Translator(std::string_view pattern, std::string_view where) : pattern_(pattern), where_(where) {}

  std::string run() {
    while (at_ < pattern_.size()) step();
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(std::string_view what) const {
    fail(where_, "expected a regular expression without {}, got {:?}", what, pattern_);
  }

  bool next_is(std::string_view text) const { return pattern_.substr(at_).starts_with(text); }

  char take() {
    if (at_ >= pattern_.size()) refuse("an unfinished part at its end");
    return pattern_[at_++];
  }

  void step() {
    const char c = pattern_[at_];
    if (c == '\\') {
      escape();
    } else if (c == '[') {
      ++at_;
      out_ += read_class().pattern();
    } else if (c == '(') {
      group();
    } else if (c == '{') {
      repeat();
    } else {
      out_ += c;
      ++at_;
    }
  }

  // "{2,3}", "{,3}", or a brace that is just a brace.
  void repeat() {
    const auto end = pattern_.find('}', at_);
    const bool counts = end != std::string_view::npos && end > at_ + 1 &&
                        pattern_.substr(at_ + 1, end - at_ - 1).find_first_not_of("0123456789,") ==
                            std::string_view::npos;
    if (!counts) {
      out_ += take();
      return;
    }
    if (end + 1 < pattern_.size() && pattern_[end + 1] == '+') refuse("a + behind a count");
    out_ += next_is("{,") ? "{0" : "{";
    out_ += pattern_.substr(at_ + 1, end - at_);
    at_ = end + 1;
  }

  void group() {
    if (next_is("(*")) refuse("verbs (*...)");
    const auto end = pattern_.find_first_of(":)", at_);
    const bool flags =
        next_is("(?") && end != std::string_view::npos && end > at_ + 2 &&
        pattern_.substr(at_ + 2, end - at_ - 2).find_first_not_of("imx-") == std::string_view::npos;
    if (!flags) {
      out_ += take();
      return;
    }
    for (; at_ < end; ++at_) out_ += pattern_[at_] == 'm' ? 's' : pattern_[at_];
  }

  void escape() {
    ++at_;
    const char c = take();
    if (c == 'b' || c == 'B') {
      const std::string word = "[" + std::string(kWords) + "]";
      out_ += c == 'b' ? "(?:(?<=" + word + ")(?!" + word + ")|(?<!" + word + ")(?=" + word + "))"
                       : "(?:(?<=" + word + ")(?=" + word + ")|(?<!" + word + ")(?!" + word + "))";
    } else if (const auto set = shorthand(c)) {
      out_ += set->pattern();
    } else {
      out_ += other_escape(c);
    }
  }

  // \s, \W, \p{...}: sets. Nothing if `c` names none.
  std::optional<CharacterSet> shorthand(char c) {
    CharacterSet set;
    switch (std::tolower(static_cast<unsigned char>(c))) {
      case 's':
        set.members = kSpaces;
        break;
      case 'w':
        set.members = kWords;
        break;
      case 'd':
        set.members = kDigits;
        break;
      case 'h':
        set.members = kHexadecimal;
        break;
      case 'p':
        set.members = property();
        break;
      default:
        return std::nullopt;
    }
    set.negated = std::isupper(static_cast<unsigned char>(c)) != 0;
    return set;
  }

  // What stands behind \p.
  std::string property() {
    if (!next_is("{")) refuse("\\p that names no property");
    const auto end = pattern_.find('}', at_);
    if (end == std::string_view::npos) refuse("an unfinished part at its end");
    std::string_view written = pattern_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    const bool negated = written.starts_with('^');
    if (negated) written.remove_prefix(1);
    std::string name;
    for (const char c : written)
      if (c != ' ' && c != '_' && c != '-')
        name += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const auto category = look_up(kCategories, name);
    if (!category && !negated)
      if (const auto posix = look_up(kPosix, name)) return std::string(*posix);
    return (negated ? "\\P{" : "\\p{") + std::string(category.value_or(written)) + "}";
  }

  // Escapes that name one character or a place.
  std::string other_escape(char c) {
    if (c == 'u') {
      const std::string_view digits = pattern_.substr(at_, 4);
      if (digits.size() < 4) refuse("\\u without four digits");
      at_ += 4;
      return "\\x{" + std::string(digits) + "}";
    }
    if (std::string_view("CEKLOQUYy").find(c) != std::string_view::npos)
      refuse(std::string("\\") + c);
    std::string text = "\\";
    text += c;
    // The rest of a character of several bytes follows as it is.
    return text;
  }

  // Reads a class behind its '['.
  CharacterSet read_class() {
    require(++depth_ <= kMaxDepth, where_, "expected classes nested at most {} deep in {:?}",
            kMaxDepth, pattern_);
    const bool negated = next_is("^");
    if (negated) ++at_;
    CharacterSet set = read_union(true);
    std::vector<std::string> required;
    while (next_is("&&")) {
      at_ += 2;
      required.push_back(set.pattern());
      set = read_union(false);
    }
    take();  // the ']'
    --depth_;
    if (!required.empty()) {
      std::string both;
      for (const std::string& part : required) both += "(?=" + part + ")";
      set = CharacterSet{{}, {"(?:" + both + set.pattern() + ")"}, false};
    }
    set.negated = negated;
    return set;
  }

  // Reads up to the ']' or '&&' that ends it.
  CharacterSet read_union(bool first) {
    CharacterSet set;
    while (true) {
      if (next_is("]") && !first) return set;
      if (next_is("&&")) return set;
      first = false;
      const char c = take();
      if (c == '\\') {
        const char escaped = take();
        if (auto part = shorthand(escaped)) {
          add(set, *part);
        } else {
          set.members += escaped == 'b' ? "\\x08" : other_escape(escaped);
        }
      } else if (c == '[' && next_is(":")) {
        add(set, posix_bracket());
      } else if (c == '[') {
        add(set, read_class());
      } else {
        // These would mean something else to PCRE2 here, or once classes are joined.
        if (c == ']' || c == '^') set.members += '\\';
        set.members += c;
      }
    }
  }

  CharacterSet posix_bracket() {
    const auto end = pattern_.find(":]", at_ + 1);
    if (end == std::string_view::npos) refuse("an unfinished [:");
    std::string_view name = pattern_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 2;
    CharacterSet set;
    set.negated = name.starts_with('^');
    if (set.negated) name.remove_prefix(1);
    const auto members = look_up(kPosix, name);
    if (!members) refuse("unknown POSIX brackets");
    set.members = *members;
    return set;
  }

  static void add(CharacterSet& set, const CharacterSet& part) {
    if (part.plain()) {
      set.members += part.members;
    } else {
      set.others.push_back(part.pattern());
    }
  }

  static constexpr int kMaxDepth = 32;
  std::string_view pattern_;
  std::string_view where_;
  std::size_t at_ = 0;
  std::string out_;
  int depth_ = 0;
};

}  // namespace

std::string pcre2_pattern(std::string_view pattern, std::string_view where) {
  return Translator(pattern, where).run();
}

}  // namespace massact
