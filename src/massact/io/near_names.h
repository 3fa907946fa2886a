// "Did you mean": the known names nearest to one that does not exist.
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

}  // namespace massact
