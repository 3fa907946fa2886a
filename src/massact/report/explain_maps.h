// Attention maps as files.
#pragma once

#include <string>

#include "massact/study/explain.h"

namespace massact {

/// "map-layer3-head0-logits.npy", for the mean over heads "map-layer3-mean-logits.npy".
std::string map_file(const AttentionMap& map, std::string_view what);

}  // namespace massact
