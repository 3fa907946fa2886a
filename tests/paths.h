// Where the tests find files: the source tree, the committed goldens, the data beside a checkout.
#pragma once

#include <filesystem>

namespace massact::testing_support {

/// The top folder of the source tree.
std::filesystem::path source_folder();

/// Where the oracles' outputs are: tests/golden.
std::filesystem::path golden_folder();

/// The real data that is not part of a clone: data/ in $MASSACT_SHARED, or in ../shared beside the
/// source tree. It need not exist: tests that use it skip visibly then.
std::filesystem::path shared_data();

}  // namespace massact::testing_support

/// Ends a test, visibly, where a file of the shared data is not there.
#define SKIP_WITHOUT(path) \
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "not here: " << (path)
