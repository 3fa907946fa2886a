// The libFuzzer entry; MASSACT_FUZZ_TARGET is the name of one target.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "fuzz/targets.h"
#include "massact/base/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  for (const auto& target : massact::fuzz::targets()) {
    if (std::string_view(target.name) != MASSACT_FUZZ_TARGET) continue;
    try {
      target.run({reinterpret_cast<const char*>(data), size});
    } catch (const massact::Error&) {
      // Refused, as it should be. Any other exception ends the fuzzer.
    }
    return 0;
  }
  std::abort();  // programmer error: no such target
}
