#include "massact/text/pre_tokenizer.h"

#include <span>

#include "massact/base/error.h"
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

constexpr std::size_t kMostSteps = 64;

using PieceSink = std::function<bool(std::string_view piece)>;

// Joins or drops the alternating matches and gaps of one split as its behaviour says.
class Joiner {
 public:
  Joiner(SplitBehavior behavior, const PieceSink& sink) : behavior_(behavior), sink_(sink) {}

  // Takes the next range of the text, [begin, end) without holes in between; false: stopped.
  bool add(std::string_view text, std::size_t begin, std::size_t end, bool match) {
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
    if (held_.empty() || (match && behavior_ == SplitBehavior::removed)) return true;
    return sink_(held_);
  }

  SplitBehavior behavior_;
  const PieceSink& sink_;
  std::string_view held_;
  std::size_t held_begin_ = 0;
  bool has_held_ = false;
  bool held_match_ = false;
};

std::size_t next_start(std::string_view text, std::size_t at) {
  return at + (at < text.size() ? static_cast<std::size_t>(utf8_length(text[at])) : 1);
}

bool run_split(const SplitStep& step, RegexMatcher& matcher, std::string_view text,
               const PieceSink& sink) {
  Joiner joiner(step.behavior, sink);
  std::size_t done = 0;
  std::size_t from = 0;
  bool matched = false;
  while (from <= text.size()) {
    const auto match = matcher.find(text, from);
    if (!match) break;
    const bool empty = match->begin == match->end;
    from = empty ? next_start(text, match->end) : match->end;
    // As in Oniguruma's iterators, nothing right behind a match is no match.
    if (empty && matched && match->begin == done) continue;
    if (done < match->begin && !joiner.add(text, done, match->begin, step.invert)) return false;
    if (!joiner.add(text, match->begin, match->end, !step.invert)) return false;
    done = match->end;
    matched = true;
  }
  if (done < text.size() && !joiner.add(text, done, text.size(), step.invert)) return false;
  return joiner.finish();
}

bool run_splits(std::span<const SplitStep> steps, std::span<RegexMatcher> matchers,
                std::string_view text, const PieceSink& sink) {
  if (text.empty()) return true;
  if (steps.empty()) return sink(text);
  if (steps.size() == 1) return run_split(steps[0], matchers[0], text, sink);
  return run_split(steps[0], matchers[0], text, [&](std::string_view piece) {
    return run_splits(steps.subspan(1), matchers.subspan(1), piece, sink);
  });
}

AlignedText put_mark(const AlignedText& section, const Metaspace& metaspace) {
  const bool at_start = section.origin(0, 0).begin == 0;
  const AlignedText text = replace_all(section, " ", metaspace.mark);
  const bool wanted = metaspace.prepend == Metaspace::PrependScheme::always ||
                      (metaspace.prepend == Metaspace::PrependScheme::first && at_start);
  return wanted && !text.view().starts_with(metaspace.mark) ? prepend(text, metaspace.mark) : text;
}

AlignedText changed(const AlignedText& section, const PreTokenizer::Stage& stage) {
  AlignedText text = section;
  for (const auto& change : stage.changes) {
    AlignedText next = text;
    if (const auto* metaspace = std::get_if<Metaspace>(&change)) {
      next = put_mark(text, *metaspace);
    } else if (std::holds_alternative<ByteCharacters>(change)) {
      next = byte_characters(text);
    } else if (!text.view().starts_with(' ')) {
      next = prepend(text, " ");
    }
    text = std::move(next);
  }
  return text;
}

}  // namespace

// What one call of split works with.
class PreTokenizer::Run {
 public:
  Run(const std::vector<Stage>& stages, std::size_t bytes, const Sink& sink)
      : stages_(stages), bytes_(bytes), sink_(sink), produced_(stages.size(), 0) {
    for (const Stage& stage : stages) {
      auto& matchers = matchers_.emplace_back();
      for (const SplitStep& step : stage.splits) matchers.emplace_back(step.pattern);
    }
  }

  bool run(std::size_t first, const AlignedText& section) {
    const AlignedText text = changed(section, stages_[first]);
    produced_[first] += text.view().size();
    check_growth(produced_[first], bytes_);
    const char* start = text.view().data();
    OriginCursor origins(text);
    return run_splits(stages_[first].splits, matchers_[first], text.view(),
                      [&](std::string_view piece) {
                        const std::int64_t begin = piece.data() - start;
                        if (first + 1 == stages_.size()) return sink_(piece, begin, origins);
                        const auto end = begin + static_cast<std::int64_t>(piece.size());
                        return run(first + 1, text.slice(begin, end));
                      });
  }

 private:
  const std::vector<Stage>& stages_;
  std::size_t bytes_;
  const Sink& sink_;
  std::vector<std::size_t> produced_;  // by each stage, of all pieces: bytes
  std::vector<std::vector<RegexMatcher>> matchers_;
};

PreTokenizer::PreTokenizer(std::vector<Stage> stages) : stages_(std::move(stages)) {
  std::size_t steps = 0;
  for (const Stage& stage : stages_) steps += stage.changes.size() + stage.splits.size();
  require(steps <= kMostSteps, "pre_tokenizer", "expected at most {} steps, got {}", kMostSteps,
          steps);
}

bool PreTokenizer::keeps_whole() const {
  for (const Stage& stage : stages_)
    if (!stage.splits.empty()) return false;
  return true;
}

AlignedText PreTokenizer::whole(const AlignedText& section) const {
  AlignedText text = section;
  for (const Stage& stage : stages_) text = changed(text, stage);
  return text;
}

bool PreTokenizer::split(const AlignedText& section, const Sink& sink) const {
  if (section.empty()) return true;
  if (stages_.empty()) {
    OriginCursor origins(section);
    return sink(section.view(), 0, origins);
  }
  return Run(stages_, section.view().size(), sink).run(0, section);
}

}  // namespace massact
