// From scores to numbers with standard errors: perplexity in three conventions, divergence between
// streams, and what an edit changed.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "massact/eval/scorer.h"

namespace massact::eval {

/// A mean and its standard error; none with fewer than two units (windows or tokens).
struct Estimate {
  double value = 0.0;
  std::optional<double> error;
};

/// The losses that a convention averages, in the units whose scatter gives the standard error:
/// hf: every chunk's mean loss; llama.cpp: every token's loss; lm-eval: every window's summed loss
/// with its number of targets as weight. mean = Σ sums / Σ weights.
struct Losses {
  std::vector<double> sums;
  std::vector<double> weights;
};
Losses losses_of(Convention convention, std::span<const WindowScores> scores);

/// Σ sums / Σ weights; error: of a ratio of sums over independent units (Cochran, Sampling
/// Techniques, eq. 6.13 without the finite-population factor), for equal weights sd/√n.
Estimate mean_of(const Losses& losses);

/// mean_of(variant) − mean_of(original), with the error of the paired differences.
Estimate paired_difference(const Losses& variant, const Losses& original);

/// exp(mean) with the error exp(mean)·error (first order).
Estimate exp_of(const Estimate& mean);

/// What of a text was scored, for lm-eval's measures.
struct TextCounts {
  std::int64_t words = 0;  ///< pieces between runs of white space, as Python's re.split(r"\s+")
  std::int64_t bytes = 0;  ///< of UTF-8

  static TextCounts of(std::string_view text);
  TextCounts& operator+=(const TextCounts& other);
};

/// Perplexity of one stream.
struct Perplexity {
  Convention convention = Convention::hf;
  std::int64_t windows = 0;
  std::int64_t targets = 0;
  double log_likelihood = 0.0;  ///< nats, of all targets
  Estimate loss;                ///< nats per token, as the convention averages
  Estimate perplexity;          ///< exp(loss); lm-eval prints the next three instead
  std::optional<Estimate> word_perplexity;
  std::optional<Estimate> byte_perplexity;
  std::optional<Estimate> bits_per_byte;
};

/// `counts` is needed for the three measures of lm-eval.
Perplexity perplexity_of(Convention convention, std::span<const WindowScores> scores,
                         const std::optional<TextCounts>& counts);

/// How far a variant's predictions are from the original's, over the scored rows and each window's
/// last one, which predicts no token of the text.
struct Divergence {
  std::int64_t rows = 0;
  Estimate mean_kl;     ///< KL(original ‖ variant), nats; error over windows
  double p99_kl = 0.0;  ///< 99th percentile (lower order statistic)
  double max_kl = 0.0;
  Estimate top1_agreement;  ///< share of rows with the same most likely token; error over windows
};
Divergence divergence_of(std::span<const WindowScores> variant);

}  // namespace massact::eval
