#include "massact/text/pre_tokenizer.h"

#include "massact/text/normalizer.h"
#include "massact/text/utf8.h"

namespace massact {

const std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

const std::string_view kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|)"
    R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

const std::string_view kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|)"
    R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

namespace {

// Joins or drops the alternating matches and gaps of one split as its behaviour says.
class Joiner {
 public:
  Joiner(SplitBehavior behavior, const PreTokenizer::Sink& sink)
      : behavior_(behavior), sink_(sink) {}

  // Takes the next range of the text, [begin, end) without gaps in between; false: stopped.
  bool add(std::string_view text, std::size_t begin, std::size_t end, bool match) {
    if (begin == end) return true;
    const bool join = has_held_ && joins(match);
    const bool previous_match = held_match_;
    held_match_ = match;
    if (join) {
      held_ = text.substr(held_begin_, end - held_begin_);
      return true;
    }
    const bool go_on = flush(previous_match);
    has_held_ = true;
    held_begin_ = begin;
    held_ = text.substr(begin, end - begin);
    return go_on;
  }

  bool finish() { return flush(held_match_); }

 private:
  bool joins(bool match) const {
    switch (behavior_) {
      case SplitBehavior::contiguous:
        return match == held_match_;
      case SplitBehavior::merged_with_previous:
        return match && !held_match_;
      case SplitBehavior::merged_with_next:
        return !match && held_match_;
      default:
        return false;
    }
  }

  bool flush(bool match) {
    if (!has_held_) return true;
    has_held_ = false;
    if (match && behavior_ == SplitBehavior::removed) return true;
    return sink_(held_);
  }

  SplitBehavior behavior_;
  const PreTokenizer::Sink& sink_;
  std::string_view held_;
  std::size_t held_begin_ = 0;
  bool has_held_ = false;
  bool held_match_ = false;
};

bool run_split(const SplitStep& step, RegexMatcher& matcher, std::string_view text,
               const PreTokenizer::Sink& sink) {
  Joiner joiner(step.behavior, sink);
  std::size_t done = 0;
  std::size_t from = 0;
  while (from <= text.size()) {
    const auto match = matcher.find(text, from);
    if (!match) break;
    if (!joiner.add(text, done, match->begin, step.invert)) return false;
    if (!joiner.add(text, match->begin, match->end, !step.invert)) return false;
    done = from = match->end;
    if (match->begin == match->end) {  // an empty match: go on behind the next character
      if (from >= text.size()) break;
      from += static_cast<std::size_t>(utf8_length(static_cast<unsigned char>(text[from])));
    }
  }
  return joiner.add(text, done, text.size(), step.invert) && joiner.finish();
}

bool run_splits(const std::vector<SplitStep>& steps, std::vector<RegexMatcher>& matchers,
                std::size_t first, std::string_view text, const PreTokenizer::Sink& sink) {
  if (text.empty()) return true;
  if (first == steps.size()) return sink(text);
  if (first + 1 == steps.size()) return run_split(steps[first], matchers[first], text, sink);
  return run_split(steps[first], matchers[first], text, [&](std::string_view piece) {
    return run_splits(steps, matchers, first + 1, piece, sink);
  });
}

}  // namespace

AlignedText PreTokenizer::prepare(const AlignedText& section) const {
  AlignedText text = section;
  if (options_.metaspace) {
    const Metaspace& metaspace = *options_.metaspace;
    const bool at_start = section.origin(0, 0).begin == 0;
    text = replace_all(text, " ", metaspace.mark);
    const bool wanted = metaspace.prepend == Metaspace::PrependScheme::always ||
                        (metaspace.prepend == Metaspace::PrependScheme::first && at_start);
    if (wanted && !text.view().starts_with(metaspace.mark)) text = prepend(text, metaspace.mark);
  }
  if (options_.add_prefix_space && !text.view().starts_with(' ')) text = prepend(text, " ");
  return text;
}

bool PreTokenizer::split(std::string_view text, const Sink& sink) const {
  std::vector<RegexMatcher> matchers;
  for (const SplitStep& step : options_.splits) matchers.emplace_back(step.pattern);
  return run_splits(options_.splits, matchers, 0, text, sink);
}

}  // namespace massact
