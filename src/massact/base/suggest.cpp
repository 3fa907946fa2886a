#include "massact/base/suggest.h"

#include <fmt/ranges.h>

#include <algorithm>

namespace massact {
namespace {

// Levenshtein distance, one row at a time.
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
  return row.back();
}

using Ranked = std::vector<std::pair<std::size_t, std::string>>;

// All candidates with their distances, nearest first; equally near ones in their order.
Ranked rank(std::string_view name, std::span<const std::string> candidates) {
  // Names may come from files: long ones are compared by their beginnings.
  constexpr std::size_t kCompared = 128;
  Ranked ranked;
  for (const auto& candidate : candidates) {
    const auto compared = std::string_view(candidate).substr(0, kCompared);
    ranked.emplace_back(edit_distance(name.substr(0, kCompared), compared), candidate);
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  return ranked;
}

std::vector<std::string> take(Ranked ranked, std::size_t count) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < std::min(count, ranked.size()); ++i) {
    names.push_back(std::move(ranked[i].second));
  }
  return names;
}

}  // namespace

std::vector<std::string> nearest(std::string_view name, std::span<const std::string> candidates,
                                 std::size_t count) {
  return take(rank(name, candidates), count);
}

std::vector<std::string> near_names(std::string_view name, std::span<const std::string> candidates,
                                    std::size_t count) {
  Ranked ranked = rank(name, candidates);
  std::erase_if(ranked, [&](const auto& entry) { return 2 * entry.first >= name.size(); });
  return take(std::move(ranked), count);
}

std::string join(std::span<const std::string> names) {
  return fmt::format("{}", fmt::join(names, ", "));
}

std::string list_names(std::span<const std::string> names, std::size_t shown) {
  const auto first = names.first(std::min(shown, names.size()));
  const std::size_t left = names.size() - first.size();
  return join(first) + (left ? fmt::format(" and {} more", left) : "");
}

}  // namespace massact
