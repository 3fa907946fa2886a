#include "massact/cli/parse.h"

#include <optional>
#include <set>

#include "massact/base/error.h"
#include "massact/base/whole_number.h"

namespace massact {
namespace {

int parse_layer(std::string_view text, int last, std::string_view flag) {
  const std::optional<std::int64_t> layer = whole_number(text);
  if (!layer || *layer < 0 || *layer > last) {
    fail_usage(flag, "expected layers from 0 (the embedding) to {} such as 1,4-6, got '{}'", last,
               text);
  }
  return static_cast<int>(*layer);
}

}  // namespace

std::vector<int> parse_layers(std::string_view text, int last, std::string_view flag) {
  if (text == "all") return {};
  std::set<int> layers;
  while (true) {
    const std::size_t comma = text.find(',');
    const std::string_view item = text.substr(0, comma);
    const std::size_t dash = item.find('-');
    const int from = parse_layer(item.substr(0, dash), last, flag);
    const int to =
        dash == std::string_view::npos ? from : parse_layer(item.substr(dash + 1), last, flag);
    if (to < from) fail_usage(flag, "expected a range that grows, got '{}'", item);
    for (int layer = from; layer <= to; ++layer) layers.insert(layer);
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  return {layers.begin(), layers.end()};
}

}  // namespace massact
