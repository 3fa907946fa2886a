#include "massact/eval/perplexity.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "massact/base/error.h"
#include "massact/text/utf8.h"

namespace massact::eval {
namespace {

double sum(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

// Python's str.isspace, which re's \s follows: White_Space and four old separators.
bool separates_words(char32_t character) {
  return is_white_space(character) || (character >= 0x1C && character <= 0x1F);
}

Estimate scaled(const Estimate& estimate, double factor) {
  Estimate result{estimate.value * factor, estimate.error};
  if (result.error) *result.error *= factor;
  return result;
}

}  // namespace

Losses losses_of(Convention convention, std::span<const WindowScores> scores) {
  Losses losses;
  for (const WindowScores& window : scores) {
    if (convention == Convention::llama_cpp) {
      for (const double log_prob : window.log_probs) losses.sums.push_back(-log_prob);
      continue;
    }
    const auto targets = static_cast<double>(window.log_probs.size());
    const bool by_chunk = convention == Convention::hf;
    losses.sums.push_back(-window.log_likelihood() / (by_chunk ? targets : 1.0));
    losses.weights.push_back(by_chunk ? 1.0 : targets);
  }
  losses.weights.resize(losses.sums.size(), 1.0);
  return losses;
}

Estimate mean_of(const Losses& losses) {
  const std::size_t n = losses.sums.size();
  require(n > 0, "perplexity", "expected at least one scored window, got none");
  const double weight = sum(losses.weights);
  Estimate mean{sum(losses.sums) / weight, {}};
  if (n < 2) return mean;
  double squares = 0.0;
  for (std::size_t i = 0; i < n; ++i) {
    const double residual = losses.sums[i] - mean.value * losses.weights[i];
    squares += residual * residual;
  }
  const auto count = static_cast<double>(n);
  mean.error = std::sqrt(squares * count / (count - 1.0)) / weight;
  return mean;
}

Estimate paired_difference(const Losses& variant, const Losses& original) {
  require(variant.sums.size() == original.sums.size(), "perplexity",
          "expected the same windows for both streams, got {} and {}", variant.sums.size(),
          original.sums.size());
  Losses difference = variant;
  for (std::size_t i = 0; i < difference.sums.size(); ++i) difference.sums[i] -= original.sums[i];
  return mean_of(difference);
}

Estimate exp_of(const Estimate& mean) {
  Estimate result{std::exp(mean.value), mean.error};
  if (result.error) *result.error *= result.value;
  return result;
}

TextCounts TextCounts::of(std::string_view text) {
  TextCounts counts{1, static_cast<std::int64_t>(text.size())};
  bool in_space = false;
  for (std::size_t at = 0; at < text.size();) {
    const bool space = separates_words(next_character(text, at));
    counts.words += space && !in_space;
    in_space = space;
  }
  return counts;
}

TextCounts& TextCounts::operator+=(const TextCounts& other) {
  words += other.words;
  bytes += other.bytes;
  return *this;
}

Perplexity perplexity_of(Convention convention, std::span<const WindowScores> scores,
                         const std::optional<TextCounts>& counts) {
  Perplexity result;
  result.convention = convention;
  result.windows = std::ssize(scores);
  for (const WindowScores& window : scores) {
    result.targets += std::ssize(window.log_probs);
    result.log_likelihood += window.log_likelihood();
  }
  result.loss = mean_of(losses_of(convention, scores));
  result.perplexity = exp_of(result.loss);
  if (convention == Convention::lm_eval && counts) {
    const auto targets = static_cast<double>(result.targets);
    const double per_byte = targets / static_cast<double>(counts->bytes);
    result.word_perplexity =
        exp_of(scaled(result.loss, targets / static_cast<double>(counts->words)));
    result.byte_perplexity = exp_of(scaled(result.loss, per_byte));
    result.bits_per_byte = scaled(result.loss, per_byte / std::numbers::ln2);
  }
  return result;
}

Divergence divergence_of(std::span<const WindowScores> variant) {
  Divergence result;
  Losses kl, agreement;
  std::vector<double> all;
  for (const WindowScores& window : variant) {
    const auto rows = static_cast<double>(window.divergences.size());
    kl.sums.push_back(sum(window.divergences));
    kl.weights.push_back(rows);
    agreement.sums.push_back(static_cast<double>(window.agreements));
    agreement.weights.push_back(rows);
    all.insert(all.end(), window.divergences.begin(), window.divergences.end());
  }
  require(!all.empty(), "divergence", "expected the scores of an edited stream, got none");
  result.rows = std::ssize(all);
  result.mean_kl = mean_of(kl);
  result.top1_agreement = mean_of(agreement);
  const auto p99 = static_cast<std::ptrdiff_t>((all.size() - 1) * 99 / 100);
  std::nth_element(all.begin(), all.begin() + p99, all.end());
  result.p99_kl = all[static_cast<std::size_t>(p99)];
  result.max_kl = *std::max_element(all.begin() + p99, all.end());
  return result;
}

}  // namespace massact::eval
