// Which site a forward pass reaches first.
#pragma once

#include <limits>
#include <utility>

#include "massact/model/sites.h"

namespace massact {

/// Compares as the sites follow each other in a forward pass.
inline std::pair<int, int> site_order(Site site) {
  int stage = site.block;  // embed and pos_embed have block -1: before all blocks
  if (site.kind >= SiteKind::ln_final_out) stage = std::numeric_limits<int>::max();
  return {stage, static_cast<int>(site.kind)};
}

}  // namespace massact
