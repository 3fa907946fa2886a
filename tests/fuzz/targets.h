// What is fuzzed: readers of untrusted files. The same functions run under libFuzzer (preset
// `fuzz`) and, over the committed seeds and seeded mutations of them, in the unit tests.
#pragma once

#include <span>
#include <string_view>

namespace massact::fuzz {

struct Target {
  const char* name;  // of the program fuzz_NAME and of the folder seeds/NAME
  /// Reads `input` as a file of its format and uses everything in it. An input that is refused
  /// with an Error is fine; anything else that goes wrong is a finding.
  void (*run)(std::string_view input);
};

std::span<const Target> targets();

}  // namespace massact::fuzz
