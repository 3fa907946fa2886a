// Attention on its explicit path: for those who watch or edit scores and pattern.
#pragma once

#include <span>

#include "massact/model/block.h"

namespace massact {

/// As ops::attention, but each head's scores and pattern exist and are shown to `sites` in pieces
/// of at most 4 MiB: in order of sequence, head and query.
void attend_by_maps(ConstFloatMatrix q, ConstFloatMatrix k, ConstFloatMatrix v,
                    std::span<const ops::RowRange> sequences, const ops::AttentionOptions& options,
                    FloatMatrix z, SiteVisitor& sites, Workspace& workspace, Threads& threads);

}  // namespace massact
