// The version of this build.
#pragma once

#include <string_view>

namespace massact {

/// "0.1.0"; stands in every result file.
std::string_view version();

}  // namespace massact
