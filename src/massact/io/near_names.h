// Names in error texts: those nearest to one that does not exist, and long lists in short.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace massact {

/// Up to `count` of `known`, by edit distance to `name`, nearest first (ties: alphabetical); only
/// those that differ in less than half of `name`.
std::vector<std::string> near_names(std::string_view name, std::span<const std::string> known,
                                    std::size_t count = 3);

/// "a, b, c and 7 more": at most `shown` of the names.
std::string list_names(std::span<const std::string> names, std::size_t shown = 20);

}  // namespace massact
