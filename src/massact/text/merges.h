// The merge lists of vocabulary files, as ids.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "massact/text/bpe.h"

namespace massact {

/// Ids by token text; the texts live elsewhere.
using IdsByText = std::unordered_map<std::string_view, std::int32_t>;

/// Both halves of "left right"; throws Error naming `where` unless there is exactly one space.
std::pair<std::string_view, std::string_view> split_merge(std::string_view text,
                                                          std::string_view where);

/// Collects merges in the order of their rank.
class MergeList {
 public:
  /// `where` names the list in errors; `ids` must outlive this. `prefix` is what all but the first
  /// pieces of a word begin with ("##"): merged tokens lose the right one's.
  MergeList(const IdsByText& ids, std::string_view where, std::string_view prefix = "")
      : ids_(ids), where_(where), prefix_(prefix) {}

  /// Adds the next merge. Throws Error if a half or the result is no token.
  void add(std::string_view left, std::string_view right);
  const std::vector<BpeMerge>& merges() const { return merges_; }

 private:
  std::int32_t id_of(std::string_view text) const;

  const IdsByText& ids_;
  std::string where_;
  std::string prefix_;
  std::string joined_;
  std::vector<BpeMerge> merges_;
};

}  // namespace massact
