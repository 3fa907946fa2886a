// Flags that take more than one number.
#pragma once

#include <string_view>
#include <vector>

namespace massact {

/// "0,3-5,12" -> {0, 3, 4, 5, 12}: layers as users count them, sorted, each once; "all" -> {}.
/// Throws UsageError naming `flag` for anything else, and for a layer above `last`.
std::vector<int> parse_layers(std::string_view text, int last, std::string_view flag);

}  // namespace massact
