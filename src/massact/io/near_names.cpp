#include "massact/io/near_names.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

namespace massact {
namespace {

// Names come from files: long ones are compared by their beginnings only.
constexpr std::size_t kCompared = 128;

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row[b.size()];
}

}  // namespace

std::vector<std::string> near_names(std::string_view name, std::span<const std::string> known,
                                    std::size_t count) {
  const std::string_view wanted = name.substr(0, kCompared);
  std::vector<std::pair<std::size_t, std::string>> ranked;
  for (const std::string& candidate : known) {
    const std::size_t distance =
        edit_distance(wanted, std::string_view(candidate).substr(0, kCompared));
    if (2 * distance < wanted.size()) ranked.emplace_back(distance, candidate);
  }
  std::sort(ranked.begin(), ranked.end());
  std::vector<std::string> nearest;
  for (auto& [distance, candidate] : ranked) {
    if (nearest.size() == count) break;
    nearest.push_back(std::move(candidate));
  }
  return nearest;
}

std::string list_names(std::span<const std::string> names, std::size_t shown) {
  const auto first = names.first(std::min(shown, names.size()));
  const std::size_t left = names.size() - first.size();
  return fmt::format("{}{}", fmt::join(first, ", "), left ? fmt::format(" and {} more", left) : "");
}

}  // namespace massact
