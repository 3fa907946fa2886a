#include "massact/eval/choices.h"

#include <algorithm>

#include "massact/base/error.h"

namespace massact::eval {
namespace {

std::int64_t characters(std::string_view utf8) {
  return std::count_if(utf8.begin(), utf8.end(),
                       [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

// 1 if the answer has the largest score per unit of length, the first of equals winning.
template <typename Length>
double is_right(const MultipleChoiceItem& item, std::span<const WindowScores> scores,
                const Length& length) {
  std::int64_t best = 0;
  double most = 0.0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const double score = scores[i].log_likelihood() / static_cast<double>(length(item.choices[i]));
    if (i == 0 || score > most) {
      most = score;
      best = static_cast<std::int64_t>(i);
    }
  }
  return best == item.answer ? 1.0 : 0.0;
}

Estimate share_of(const std::vector<double>& right) {
  return mean_of({right, std::vector<double>(right.size(), 1.0)});
}

}  // namespace

ChoiceWindows choice_windows(std::span<const MultipleChoiceItem> items, const Tokenizer& tokenizer,
                             std::int64_t max_positions, bool bos) {
  const auto prefix = tokenizer.bos() ? tokenizer.bos() : tokenizer.eos();
  if (bos && !tokenizer.bos()) fail_usage("--bos", "expected a tokenizer with a BOS, got none");
  ChoiceWindows result;
  for (const MultipleChoiceItem& item : items) {
    for (const ChoiceRequest& request : item.requests) {
      TokenRequest tokens = tokenize_request(tokenizer, request);
      if (bos || tokens.context.empty()) {
        require(prefix.has_value(), "request",
                "expected a tokenizer with a BOS or EOS for an empty context, got neither");
        tokens.context.insert(tokens.context.begin(), *prefix);
      }
      result.truncated +=
          std::ssize(tokens.context) + std::ssize(tokens.continuation) > max_positions + 1;
      result.cut += std::ssize(tokens.continuation) > max_positions;
      result.windows.push_back(
          continuation_window(tokens.context, tokens.continuation, max_positions));
    }
  }
  return result;
}

Answers answers_of(std::span<const MultipleChoiceItem> items,
                   std::span<const WindowScores> scores) {
  Answers answers;
  for (const MultipleChoiceItem& item : items) {
    const auto own = scores.first(item.requests.size());
    scores = scores.subspan(item.requests.size());
    answers.acc.push_back(is_right(item, own, [](const std::string&) { return 1; }));
    answers.acc_norm.push_back(is_right(item, own, characters));
    answers.acc_bytes.push_back(is_right(item, own, [](const std::string& s) { return s.size(); }));
  }
  return answers;
}

Accuracy accuracy_of(const Answers& answers) {
  return {std::ssize(answers.acc), share_of(answers.acc), share_of(answers.acc_norm),
          share_of(answers.acc_bytes)};
}

}  // namespace massact::eval
