#include "paths.h"

#include <cstdlib>

namespace massact::testing_support {

namespace fs = std::filesystem;

// The only test source that knows the checkout's place: every other object file can be shared
// between checkouts by ccache.
fs::path source_folder() { return MASSACT_SOURCE_DIR; }

fs::path golden_folder() { return source_folder() / "tests" / "golden"; }

fs::path shared_data() {
  const char* given = std::getenv("MASSACT_SHARED");
  const bool is_given = given != nullptr && *given != '\0';
  return (is_given ? fs::path(given) : source_folder() / ".." / "shared") / "data";
}

}  // namespace massact::testing_support
