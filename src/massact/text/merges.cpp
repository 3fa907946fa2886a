#include "massact/text/merges.h"

#include <algorithm>

#include "massact/base/error.h"

namespace massact {

std::pair<std::string_view, std::string_view> split_merge(std::string_view text,
                                                          std::string_view where) {
  const auto space = text.find(' ');
  require(space != std::string_view::npos && text.find(' ', space + 1) == std::string_view::npos,
          where, "expected two tokens with one space between them, got {:?}", text);
  return {text.substr(0, space), text.substr(space + 1)};
}

std::int32_t MergeList::id_of(std::string_view text) const {
  const auto it = ids_.find(text);
  if (it == ids_.end())
    fail(fmt::format("{}[{}]", where_, merges_.size()),
         "expected tokens of the vocabulary, got {:?}", text);
  return it->second;
}

void MergeList::add(std::string_view left, std::string_view right) {
  joined_.assign(left).append(right.substr(std::min(prefix_.size(), right.size())));
  const auto rank = static_cast<std::uint32_t>(merges_.size());
  merges_.push_back({id_of(left), id_of(right), id_of(joined_), rank});
}

}  // namespace massact
