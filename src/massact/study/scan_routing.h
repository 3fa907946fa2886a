// Which experts saw the tokens that carry massive activations.
#pragma once

#include <cstdint>
#include <vector>

#include "massact/observe/routing.h"
#include "massact/run/finding.h"

namespace massact {

/// Tokens that an expert saw.
struct ExpertCount {
  std::int64_t expert = 0;
  std::int64_t tokens = 0;
};

/// The routing of one layer's experts.
struct LayerRouting {
  int layer = 0;                   ///< counts from 1: the layer's own MLP
  std::vector<std::int64_t> load;  ///< [experts] tokens sent to each, all sequences
};

/// Where the tokens of one finding went, in one layer: experts by falling number of tokens.
struct FindingRouting {
  std::size_t finding = 0;  ///< index among the findings
  int layer = 0;
  std::int64_t tokens = 0;  ///< tokens of the finding at its peak layer (as kept there)
  std::vector<ExpertCount> experts;
};

struct ScanRouting {
  std::int64_t experts = 0;
  std::int64_t per_token = 0;
  std::vector<LayerRouting> layers;
  std::vector<FindingRouting> findings;  ///< by finding and layer
};

/// What `routing` saw of the tokens of `findings`, in all layers that have experts.
ScanRouting routing_of(const observe::Routing& routing, const MoeConfig& config,
                       const FindingSet& findings);

}  // namespace massact
