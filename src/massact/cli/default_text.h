// The text that ships with the program, for when none is given.
#pragma once

#include <string_view>

namespace massact {

/// About 7 KB of English prose: narration, dialogue, lists, numbers, blank lines.
/// Written for massact; in the public domain (CC0).
std::string_view default_text();

}  // namespace massact
