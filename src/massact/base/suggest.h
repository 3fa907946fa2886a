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

/// "a, b, c".
std::string join(std::span<const std::string> names);

}  // namespace massact
