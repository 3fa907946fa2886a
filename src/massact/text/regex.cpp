#include "massact/text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <cctype>

#include "massact/base/error.h"
#include "massact/text/regex_syntax.h"

namespace massact {
namespace {

constexpr std::size_t kLongestPattern = 64 * 1024;
constexpr std::uint32_t kMatchLimit = 10'000'000;  // steps of one search
constexpr std::uint32_t kHeapLimit = 1024 * 1024;  // KiB, without JIT

std::string error_text(int code) {
  PCRE2_UCHAR buffer[256];
  pcre2_get_error_message(code, buffer, sizeof(buffer));
  return reinterpret_cast<const char*>(buffer);
}

constexpr std::size_t kJitStackStart = 32 * 1024;
constexpr std::size_t kJitStackMax = 64 * 1024 * 1024;

}  // namespace

struct Regex::Code {
  pcre2_code* code = nullptr;
  std::string pattern;
  ~Code() { pcre2_code_free(code); }
};

struct RegexMatcher::Scratch {
  pcre2_match_data* data = nullptr;
  pcre2_match_context* context = nullptr;
  pcre2_jit_stack* stack = nullptr;
  ~Scratch() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    pcre2_jit_stack_free(stack);
  }
};

Regex::Regex(std::string_view pattern, std::string_view where) : code_(std::make_unique<Code>()) {
  require(pattern.size() <= kLongestPattern, where,
          "expected a pattern of at most {} bytes, got {}", kLongestPattern, pattern.size());
  const std::string translated = pcre2_pattern(pattern, where);
  int error = 0;
  PCRE2_SIZE at = 0;
  code_->pattern = pattern;
  code_->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                              PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C,
                              &error, &at, nullptr);
  require(code_->code != nullptr, where, "expected a regular expression, got {:?}: {} (at {})",
          pattern, error_text(error), at);
  pcre2_jit_compile(code_->code, PCRE2_JIT_COMPLETE);  // without JIT it is only slower
}

Regex Regex::literal(std::string_view text) {
  std::string pattern;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = byte >= 0x80 || std::isalnum(byte) != 0;
    if (!plain) pattern += fmt::format("\\x{{{:X}}}", byte);
    if (plain) pattern += c;
  }
  return Regex(pattern, "literal pattern");
}

Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;

RegexMatcher::RegexMatcher(const Regex& regex)
    : regex_(regex), scratch_(std::make_unique<Scratch>()) {
  scratch_->data = pcre2_match_data_create(1, nullptr);
  scratch_->context = pcre2_match_context_create(nullptr);
  scratch_->stack = pcre2_jit_stack_create(kJitStackStart, kJitStackMax, nullptr);
  require(scratch_->data != nullptr && scratch_->context != nullptr, "regex", "out of memory");
  pcre2_set_match_limit(scratch_->context, kMatchLimit);
  pcre2_set_heap_limit(scratch_->context, kHeapLimit);
  if (scratch_->stack != nullptr)
    pcre2_jit_stack_assign(scratch_->context, nullptr, scratch_->stack);
}

RegexMatcher::~RegexMatcher() = default;
RegexMatcher::RegexMatcher(RegexMatcher&&) noexcept = default;

std::optional<RegexMatcher::Span> RegexMatcher::find(std::string_view subject, std::size_t start) {
  const auto* text = reinterpret_cast<PCRE2_SPTR>(subject.data());
  const auto match = [&](std::uint32_t options) {
    return pcre2_match(regex_.code_->code, text, subject.size(), start,
                       PCRE2_NO_UTF_CHECK | options, scratch_->data, scratch_->context);
  };
  int count = match(0);
  // Runs of megabytes can exhaust the JIT's stack; the interpreter keeps its state on the heap.
  if (count == PCRE2_ERROR_JIT_STACKLIMIT) count = match(PCRE2_NO_JIT);
  if (count == PCRE2_ERROR_NOMATCH) return std::nullopt;
  require(
      count >= 0, "regex",
      "expected {:?} to be searched for within {} steps and {} MiB, got: {} (such a pattern can "
      "take exponential time on this text)",
      regex_.code_->pattern, kMatchLimit, kHeapLimit / 1024, error_text(count));
  const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(scratch_->data);
  return Span{ends[0], ends[1]};
}

}  // namespace massact
