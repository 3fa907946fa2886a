#include "massact/eval/perplexity.h"

#include <gtest/gtest.h>

#include <cmath>

#include "massact/base/error.h"
#include "massact/eval/choices.h"

namespace massact::eval {
namespace {

using Ids = std::vector<std::int32_t>;

WindowScores scores_of(std::vector<double> log_probs) { return {std::move(log_probs), {}, 0}; }

TEST(Windows, HfCutsFullChunksAndDropsTheRest) {
  const Ids ids = {1, 2, 3, 4, 5, 6, 7};
  const auto plain = hf_windows(ids, 3, {});
  ASSERT_EQ(plain.size(), 2u);
  EXPECT_EQ(plain[1].tokens, (Ids{4, 5, 6}));
  EXPECT_EQ(plain[1].targets, (Ids{5, 6}));
  EXPECT_EQ(plain[1].first_row, 0);
  const auto with_bos = hf_windows(ids, 3, 0);
  ASSERT_EQ(with_bos.size(), 3u);
  EXPECT_EQ(with_bos[2].tokens, (Ids{0, 5, 6}));
  EXPECT_EQ(with_bos[2].targets, (Ids{5, 6}));
}

TEST(Windows, LlamaCppReplacesTheFirstTokenAndScoresTheSecondHalf) {
  const Ids ids = {1, 2, 3, 4, 5, 6, 7, 8};
  const auto windows = llama_cpp_windows(ids, 4, 0);
  ASSERT_EQ(windows.size(), 2u);
  EXPECT_EQ(windows[0].tokens, (Ids{0, 1, 2, 3}));
  EXPECT_EQ(windows[1].tokens, (Ids{0, 5, 6, 7}));
  EXPECT_EQ(windows[1].targets, (Ids{7}));
  EXPECT_EQ(windows[1].first_row, 2);
  // Of two tokens nothing is behind the middle.
  EXPECT_EQ(llama_cpp_windows(ids, 3, 0)[1].targets, (Ids{5}));
  EXPECT_THROW(llama_cpp_windows(ids, 2, 0), UsageError);
}

TEST(Windows, RollingScoresEveryTokenOnce) {
  for (std::int32_t size = 1; size < 30; ++size) {
    Ids ids;
    for (std::int32_t i = 0; i < size; ++i) ids.push_back(100 + i);
    Ids targets;
    for (const Window& window : rolling_windows(ids, 7, 1)) {
      EXPECT_LE(window.tokens.size(), 7u);
      // Every target is what follows its row.
      for (std::size_t i = 0; i < window.targets.size(); ++i) {
        const auto row = static_cast<std::size_t>(window.first_row) + i;
        const std::int32_t before = window.tokens.at(row);
        EXPECT_EQ(window.targets[i], before == 1 ? 100 : before + 1);
      }
      targets.insert(targets.end(), window.targets.begin(), window.targets.end());
    }
    EXPECT_EQ(targets, ids);
  }
}

TEST(Windows, LongContextsLoseTheirBeginning) {
  const Window window = continuation_window(Ids{1, 2, 3, 4}, Ids{5, 6}, 3);
  EXPECT_EQ(window.tokens, (Ids{3, 4, 5}));
  EXPECT_EQ(window.first_row, 1);
  const Window cut = continuation_window(Ids{1}, Ids{2, 3, 4, 5}, 3);
  EXPECT_EQ(cut.tokens, (Ids{2, 3, 4}));
  EXPECT_EQ(cut.targets, (Ids{3, 4, 5}));
  EXPECT_EQ(cut.first_row, 0);
  EXPECT_THROW(continuation_window(Ids{}, Ids{2}, 3), Error);
}

TEST(Perplexity, TheConventionsAverageDifferently) {
  const std::vector<WindowScores> scores = {scores_of({-1.0, -3.0}), scores_of({-4.0})};
  EXPECT_DOUBLE_EQ(perplexity_of(Convention::hf, scores, {}).loss.value, 3.0);
  EXPECT_DOUBLE_EQ(*perplexity_of(Convention::hf, scores, {}).loss.error, 1.0);
  const auto by_token = perplexity_of(Convention::llama_cpp, scores, {}).loss;
  EXPECT_DOUBLE_EQ(by_token.value, 8.0 / 3.0);
  EXPECT_NEAR(*by_token.error, std::sqrt(7.0 / 3.0 / 3.0), 1e-12);
  const auto rolling = perplexity_of(Convention::lm_eval, scores, TextCounts{2, 16});
  EXPECT_DOUBLE_EQ(rolling.word_perplexity->value, std::exp(4.0));
  EXPECT_DOUBLE_EQ(rolling.byte_perplexity->value, std::exp(0.5));
  EXPECT_NEAR(rolling.bits_per_byte->value, 0.5 / std::log(2.0), 1e-12);
}

TEST(Perplexity, OneWindowHasNoErrorBar) {
  const std::vector<WindowScores> one = {scores_of({-1.0, -2.0})};
  EXPECT_FALSE(perplexity_of(Convention::hf, one, {}).perplexity.error.has_value());
}

TEST(Perplexity, PairedDifferencesCancelWhatBothShare) {
  const std::vector<WindowScores> a = {scores_of({-1.0}), scores_of({-9.0}), scores_of({-4.0})};
  const std::vector<WindowScores> b = {scores_of({-1.5}), scores_of({-9.5}), scores_of({-4.5})};
  const auto change = paired_difference(losses_of(Convention::hf, b), losses_of(Convention::hf, a));
  EXPECT_DOUBLE_EQ(change.value, 0.5);
  EXPECT_NEAR(*change.error, 0.0, 1e-12);
}

TEST(TextCounts, WordsAreWhatPythonSplits) {
  EXPECT_EQ(TextCounts::of("one two\n\nthree").words, 3);
  EXPECT_EQ(TextCounts::of(" one ").words, 3);  // empty pieces at both ends
  EXPECT_EQ(TextCounts::of("").words, 1);
  EXPECT_EQ(TextCounts::of("a\xC2\xA0"
                           "b\x1C"
                           "c\xE3\x80\x80"
                           "d")
                .words,
            4);
  EXPECT_EQ(TextCounts::of("\xC3\xA9").bytes, 2);
}

TEST(Divergence, SummarisesRows) {
  std::vector<WindowScores> scores(2);
  for (int i = 0; i < 100; ++i) scores[0].divergences.push_back(i);
  scores[0].agreements = 50;
  scores[1].divergences = {1000.0};
  scores[1].agreements = 1;
  const Divergence d = divergence_of(scores);
  EXPECT_EQ(d.rows, 101);
  EXPECT_DOUBLE_EQ(d.mean_kl.value, (4950.0 + 1000.0) / 101.0);
  EXPECT_DOUBLE_EQ(d.p99_kl, 99.0);
  EXPECT_DOUBLE_EQ(d.max_kl, 1000.0);
  EXPECT_DOUBLE_EQ(d.top1_agreement.value, 51.0 / 101.0);
}

TEST(Choices, LengthsDecideWhatNormalises) {
  MultipleChoiceItem item;
  item.requests.resize(2);
  item.choices = {"\xC3\xA9\xC3\xA9\xC3\xA9", "abcd"};  // 3 and 4 characters, 6 and 4 bytes
  item.answer = 0;
  const std::vector<WindowScores> scores = {scores_of({-3.0}), scores_of({-2.5})};
  const Answers answers = answers_of({&item, 1}, scores);
  EXPECT_EQ(answers.acc[0], 0.0);
  EXPECT_EQ(answers.acc_norm[0], 0.0);   // −1.0 < −0.625
  EXPECT_EQ(answers.acc_bytes[0], 1.0);  // −0.5 > −0.625
  EXPECT_FALSE(accuracy_of(answers).acc.error.has_value());
}

}  // namespace
}  // namespace massact::eval
