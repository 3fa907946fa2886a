#include "massact/report/version.h"

namespace massact {

std::string_view version() { return MASSACT_VERSION; }

}  // namespace massact
