// One normalisation of a model: its weights, and how it runs past its sites.
#pragma once

#include <string>
#include <vector>

#include "massact/model/config.h"
#include "massact/model/site_visitor.h"
#include "massact/model/weight_table.h"
#include "massact/model/workspace.h"
#include "massact/ops/norm.h"

namespace massact {

/// The weights of one normalisation.
struct NormWeights {
  std::vector<float> weight, bias;

  static NormWeights read(const BoundWeights& weights, const std::string& canonical);
  ops::NormOptions options(const ModelConfig& config) const;
};

/// True if somebody looks at the norm's divisor, at what it gives, or at what leaves it.
/// `scale_site` is the first of its three sites.
bool wants_norm(const SiteVisitor& sites, SiteKind scale_site);

/// Normalises `hidden` into `out`, stopping at the norm's three sites (scale, normalized, out).
void run_norm(const ModelConfig& config, const NormWeights& weights, SiteKind scale_site,
              ConstFloatMatrix hidden, FloatMatrix out, SiteVisitor& sites, Workspace& workspace,
              Threads& threads);

}  // namespace massact
