// The extents of a tensor, with multiplication that cannot overflow unnoticed.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace massact {

/// Extents, outermost first (row-major). An empty shape is a scalar.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<std::int64_t> extents) : extents_(extents) {}
  explicit Shape(std::vector<std::int64_t> extents) : extents_(std::move(extents)) {}

  std::size_t rank() const { return extents_.size(); }
  std::int64_t operator[](std::size_t axis) const { return extents_[axis]; }
  const std::vector<std::int64_t>& extents() const { return extents_; }
  bool operator==(const Shape&) const = default;

  /// Product of the extents. Throws Error naming `where` if an extent is negative or the product
  /// passes 2^62 (shapes come from untrusted files).
  std::int64_t element_count(std::string_view where = "shape") const;

  /// "[2, 3]".
  std::string to_string() const;

 private:
  std::vector<std::int64_t> extents_;
};

}  // namespace massact
