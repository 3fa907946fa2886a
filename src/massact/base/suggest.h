// Near misses for messages about unknown names.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace massact {

/// The `count` candidates nearest to `name` by edit distance, nearest first.
std::vector<std::string> nearest(std::string_view name, std::span<const std::string> candidates,
                                 std::size_t count = 3);

/// As `nearest`, but only those that differ in less than half of `name`: for "did you mean".
std::vector<std::string> near_names(std::string_view name, std::span<const std::string> candidates,
                                    std::size_t count = 3);

/// "a, b, c".
std::string join(std::span<const std::string> names);

/// "a, b, c and 7 more": at most `shown` of the names.
std::string list_names(std::span<const std::string> names, std::size_t shown = 20);

}  // namespace massact
