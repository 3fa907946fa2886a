// Memory that was freed, back to the system.
#pragma once

#include <cstdlib>

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace massact {

/// The allocator keeps what small objects leave for others of their kind: after a step that freed
/// many, large buffers would come on top of it.
inline void return_free_memory() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

}  // namespace massact
