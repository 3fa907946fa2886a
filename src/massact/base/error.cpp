#include "massact/base/error.h"

namespace massact {

Error::Error(std::string_view where, std::string_view message)
    : std::runtime_error(fmt::format("[{}] {}", where, message)), where_(where) {}

}  // namespace massact
