#include <malloc.h>

#include "massact/cli/app.h"

int main(int argc, char** argv) {
  // Else glibc raises it whenever a larger buffer is freed, and passes leave holes in the heap that
  // no plan of memory counts.
  constexpr int kLargestOnHeap = 1 << 20;
  ::mallopt(M_MMAP_THRESHOLD, kLargestOnHeap);
  return static_cast<int>(massact::run_program(argc, argv));
}
