// What the norm does to massive tokens (the paper's figure 7 in numbers): along residual stream →
// norm → q, k, v, per group of tokens, how long and how sparse the vectors are and how much they
// vary over tokens and sequences.
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

inline constexpr std::array<std::int64_t, 3> kTopDimensions{1, 4, 16};

/// Sums over the vectors of one group at one site.
struct PathPoint {
  std::int64_t tokens = 0;
  double norm = 0.0;                                ///< Σ |x|
  double energy = 0.0;                              ///< Σ |x|²
  std::array<double, kTopDimensions.size()> top{};  ///< Σ of the energy share of the largest
  std::vector<double> sum;                          ///< Σ x

  /// E|x − E x|² / E|x|²: 0 for vectors that are all the same, 1 for directions that cancel.
  double variance() const;
};

struct VectorPathOptions {
  std::shared_ptr<const MassiveTokens> massive;
  std::shared_ptr<const PositionLabels> labels;
  /// Tokens looked at per sequence and class, evenly spread; those of C are all looked at.
  std::int64_t per_class = 16;
};

/// The sites, in order: resid_pre, ln1_out, q, k, v.
inline constexpr std::array<SiteKind, 5> kPathSites{SiteKind::resid_pre, SiteKind::ln1_out,
                                                    SiteKind::q, SiteKind::k, SiteKind::v};

/// Bytes that VectorPath keeps of all blocks of a model.
std::uint64_t vector_path_bytes(const ModelConfig& config);

class VectorPath final : public Observer {
 public:
  explicit VectorPath(VectorPathOptions options) : options_(std::move(options)) {}
  void observe(const SiteView& view, Threads& threads) override;

  using Groups = std::array<PathPoint, kGroups>;
  /// By site, ascending.
  const std::map<Site, Groups>& points() const { return points_; }

 private:
  struct Row {
    std::int64_t position;
    Group position_class;
    bool massive;
  };
  std::vector<Row> rows_of(const SiteView& view) const;

  VectorPathOptions options_;
  std::map<Site, Groups> points_;
};

}  // namespace massact::observe
