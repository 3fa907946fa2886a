#include "massact/tensor/shape.h"

#include <fmt/ranges.h>

#include "massact/base/error.h"

namespace massact {

std::int64_t Shape::element_count(std::string_view where) const {
  std::int64_t product = 1;
  bool empty = false;
  for (const std::int64_t extent : extents_) {
    require(extent >= 0, where, "expected extents of at least 0, got shape {}", to_string());
    if (extent == 0) {
      empty = true;
      continue;
    }
    require(product <= (std::int64_t{1} << 62) / extent, where,
            "expected a shape whose product fits in 62 bits, got {}", to_string());
    product *= extent;
  }
  return empty ? 0 : product;
}

std::string Shape::to_string() const { return fmt::format("[{}]", fmt::join(extents_, ", ")); }

}  // namespace massact
