// Where attention goes, and how much of its output is a constant: sinks (facts.md 6) and the
// implicit bias of equation 2 (arXiv 2402.17762), per layer and head, from attention's sums.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "massact/model/config.h"
#include "massact/observe/massive_tokens.h"
#include "massact/observe/position_groups.h"
#include "massact/run/finding.h"
#include "massact/run/observer.h"

namespace massact::observe {

inline constexpr std::array<std::int64_t, 3> kFirstTokens{1, 4, 8};
inline constexpr std::size_t kAlphas = 8;

/// What one group of keys gets from the queries of a head.
struct GroupMass {
  double keys = 0.0;         ///< over all sequences
  double probability = 0.0;  ///< Σ over queries and the group's keys
  double score = 0.0;        ///< Σ of logits over visible pairs
  double pairs = 0.0;        ///< visible pairs
};

/// Sums over sequences of one head in one layer.
struct HeadMass {
  double queries = 0.0;
  double entropy = 0.0;                             ///< Σ over queries, nats
  std::array<double, kFirstTokens.size()> first{};  ///< Σ over queries of their share
  std::array<GroupMass, kGroups> groups{};
  std::array<double, kAlphas> alpha{};              ///< Σ over sequences of alpha_k
  std::array<std::int64_t, kAlphas> alpha_count{};  ///< sequences that have key k
  std::array<std::int64_t, kAlphas> sink_count{};   ///< of these, alpha_k > epsilon

  // Equation 2: queries outside C that see C.
  std::int64_t bias_queries = 0;
  std::int64_t bias_sequences = 0;
  double share = 0.0;   ///< Σ |C| / (|C| + |slot| + |rest|)
  double cosine = 0.0;  ///< Σ of the cosine to the mean over the sequence's queries
  std::int64_t cosines = 0;
  double output_energy = 0.0;    ///< Σ |z|²
  double mean_energy = 0.0;      ///< Σ over sequences of |mean of the first term|²
  std::vector<double> mean;      ///< [c] Σ over sequences of that mean
  double slot_share = 0.0;       ///< Σ over all queries
  double closure = 0.0;          ///< worst, over sequences
  std::vector<double> constant;  ///< [c] Σ of the first term over calibration queries
  std::int64_t constant_queries = 0;
};

struct AttentionMassOptions {
  std::shared_ptr<const MassiveTokens> massive;
  std::shared_ptr<const PositionLabels> labels;
  double epsilon = 0.3;      ///< of the sink metric
  std::int64_t length = 64;  ///< its T: queries and keys below it
  /// Sequences below it calibrate `HeadMass::constant`; those from it on are kept for evaluation.
  std::int64_t calibration_end = 0;
};

/// Bytes that AttentionMass keeps of all blocks of a model.
std::uint64_t attention_mass_bytes(const ModelConfig& config);

/// Attach with Plan::watch_attention to all blocks of interest.
class AttentionMass final : public AttentionObserver {
 public:
  explicit AttentionMass(AttentionMassOptions options) : options_(std::move(options)) {}

  void choose(int block, std::int64_t sequence, std::span<std::uint8_t> positions) override;
  std::int64_t prefix() const override { return options_.length; }
  void observe(const AttentionView& view, Threads& threads) override;

  /// By block, the heads.
  const std::map<int, std::vector<HeadMass>>& blocks() const { return blocks_; }
  /// By block: how many tokens C has, over all sequences; and sequences seen.
  struct Chosen {
    std::int64_t tokens = 0, sequences = 0;
  };
  const std::map<int, Chosen>& chosen() const { return chosen_; }
  const AttentionMassOptions& options() const { return options_; }

 private:
  AttentionMassOptions options_;
  std::map<int, std::vector<HeadMass>> blocks_;
  std::map<int, Chosen> chosen_;
};

}  // namespace massact::observe
