// What counts as a massive activation (rules) and what was found (findings). Plain data: reports
// print it, edits and experiments take it as their target.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace massact {

enum class RuleKind : std::uint8_t { strict, automatic, thresholds };

/// Which scalars of a hidden state are massive. Applied per layer and sequence, with that
/// sequence's own lower median of |h| over all its positions and dimensions at that layer.
struct Rule {
  RuleKind kind = RuleKind::strict;
  double min_abs = 100.0;     ///< strict, thresholds: |h| > min_abs …
  double min_ratio = 1000.0;  ///< … and |h| >= min_ratio * median

  /// |h| > 100 and |h| >= 1000 * median (arXiv 2402.17762, section 2).
  static Rule strict() { return {}; }
  /// The gap in the tail of log|h|, without fixed thresholds (docs/rules.md).
  static Rule automatic() { return {RuleKind::automatic, 0.0, 0.0}; }
  /// |h| > min_abs and |h| >= min_ratio * median.
  static Rule thresholds(double min_abs, double min_ratio) {
    return {RuleKind::thresholds, min_abs, min_ratio};
  }
  /// "strict", "auto" or "ABS,RATIO" ("100,1000"). Throws UsageError.
  static Rule parse(std::string_view text);

  /// What `parse` reads.
  std::string to_string() const;

  /// True if a value of magnitude `abs` in a sequence with this `median` meets the rule. Not for
  /// `automatic`, which needs the whole tail.
  bool met_by(double abs, double median) const {
    return abs > min_abs && abs >= min_ratio * median;
  }

  bool operator==(const Rule&) const = default;
};

/// How a finding may be called.
enum class Label : std::uint8_t {
  massive,     ///< meets the rule; under `automatic` also >= 50 * median
  large,       ///< `automatic` only: beyond the gap, 10 to 50 * median
  not_massive  ///< a candidate shown because no rule found anything
};

/// "massive", "large", "not massive".
std::string_view name_of(Label label);

/// Under the automatic rule, in medians: what is called massive, and what is mentioned at all.
inline constexpr double kMassiveRatio = 50.0;
inline constexpr double kLargeRatio = 10.0;

/// What a position of a sequence is, for people: implemented over a corpus (text) or images.
class PositionLabels {
 public:
  virtual ~PositionLabels() = default;
  /// "start", "first_delimiter", "delimiter", "weak", "other", "cls", "register", "patch".
  virtual std::string_view position_class(std::int64_t sequence, std::int64_t position) const = 0;
  /// The token's id (-1 if it has none) and its text (" the", "\n", "<s>").
  virtual std::int32_t token_id(std::int64_t sequence, std::int64_t position) const = 0;
  virtual std::string token_text(std::int64_t sequence, std::int64_t position) const = 0;
  /// The text of a few tokens before and after the position.
  virtual std::string text_before(std::int64_t sequence, std::int64_t position) const = 0;
  virtual std::string text_after(std::int64_t sequence, std::int64_t position) const = 0;
};

/// The signed values of one finding at one layer, over the scalars that met the rule there.
struct FindingLayer {
  int layer = 0;               ///< counts from 1; 0 is the embedding
  std::int64_t scalars = 0;    ///< n: how many scalars met the rule
  std::int64_t sequences = 0;  ///< in how many sequences at least one did
  double mean = 0.0;           ///< signed, over those n scalars
  double sigma = 0.0;          ///< population standard deviation of the same
  double cv = 0.0;             ///< sigma / |mean|; 0 if mean is 0
  double max_abs = 0.0;        ///< the largest |h| among them
  double ratio = 0.0;          ///< mean over them of |h| / the sequence's median
};

/// One scalar of one sequence.
struct FindingValue {
  std::int64_t sequence = 0;
  std::int64_t position = 0;
  float value = 0.0f;
};

/// Where a finding can be looked up in the text.
struct FindingExample {
  std::int64_t sequence = 0;
  std::int64_t position = 0;
  std::int32_t token_id = -1;
  std::string token;   ///< the token's text
  std::string before;  ///< the text around it
  std::string after;
  float value = 0.0f;  ///< at the peak layer
};

/// A (position class, dimension) pair whose scalars met the rule, grouped over layers and
/// sequences. Numbers without a layer are those of the peak layer: the layer with the largest
/// |mean| * sequences.
struct Finding {
  std::int64_t dimension = 0;
  std::string position_class;
  Label label = Label::massive;

  int first_layer = 0;  ///< the first and last layer at which a scalar met the rule
  int last_layer = 0;
  int peak_layer = 0;
  std::vector<FindingLayer> layers;  ///< every layer at which a scalar met the rule, ascending

  std::int64_t scalars = 0;  ///< n of mean, sigma and cv
  double mean = 0.0;
  double sigma = 0.0;
  double cv = 0.0;
  double max_abs = 0.0;
  double ratio = 0.0;
  double sequence_share = 0.0;  ///< sequences with such a scalar / all sequences

  std::string token;           ///< text of the token it sits on most often
  std::int32_t token_id = -1;  ///< its id
  double token_share = 0.0;    ///< how often, of the n scalars

  FindingExample example;            ///< the largest |h| at the peak layer
  std::vector<FindingValue> values;  ///< at the peak layer, by sequence and position; capped

  /// At most this many `values` are kept; mean and sigma are over all scalars.
  static constexpr std::size_t kMaxValues = 4096;
};

/// What the automatic rule saw at one layer: means over the sequences in which it found a gap.
struct LayerGap {
  int layer = 0;
  std::int64_t sequences = 0;  ///< in how many sequences the gap is significant
  double gap = 0.0;            ///< smallest magnitude beyond / largest below the gap
  double threshold = 0.0;      ///< the smallest |h| beyond the gap
  double ratio = 0.0;          ///< threshold / median
  double log10_p_value = 0.0;  ///< of the layer's most significant finding, all sequences
};

/// The answer to "what is massive here, by this rule".
struct FindingSet {
  Rule rule;
  std::vector<Finding> findings;  ///< massive first, then by ratio, falling
  std::vector<LayerGap> gaps;     ///< automatic only
  /// (layer, sequence) pairs in which more scalars may meet the rule than were kept. The findings
  /// then hold the largest of them.
  std::int64_t truncated = 0;

  bool has_massive() const;
};

}  // namespace massact
