// The groups of tokens whose attention and vectors are summed up apart.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace massact::observe {

/// Position classes first, those of texts, then those of images; `sink` is the row of a learned
/// sink token. Every token has one class, and is massive (in C) or of the rest besides.
enum class Group : std::uint8_t {
  start,
  first_delimiter,
  delimiter,
  weak,
  other,
  cls,
  image_register,
  patch,
  sink,
  massive,
  rest,
  slot  ///< the explicit slot of attention, no token
};
inline constexpr std::size_t kGroups = 12;
inline constexpr std::array<std::string_view, kGroups> kGroupNames = {
    "start",    "first_delimiter", "delimiter", "weak",    "other", "cls",
    "register", "patch",           "sink",      "massive", "rest",  "slot"};

inline std::string_view name_of(Group group) {
  return kGroupNames[static_cast<std::size_t>(group)];
}

/// The group of a position class's name; `other` for names that are none.
inline Group group_of_class(std::string_view name) {
  for (std::size_t i = 0; i <= static_cast<std::size_t>(Group::sink); ++i) {
    if (kGroupNames[i] == name) return static_cast<Group>(i);
  }
  return Group::other;
}

}  // namespace massact::observe
