// Reuse of packed weights' memory from block to block.
#pragma once

namespace massact::ops {

/// While one of these lives, memory of packed matrices that are let go is kept for the next ones of
/// the same size. A streamed model packs every block into the pages of the block before:
/// fresh pages would have to be cleared by the system each time. Freed when the last one ends.
class KeepPackedMemory {
 public:
  KeepPackedMemory();
  ~KeepPackedMemory();
  KeepPackedMemory(const KeepPackedMemory&) = delete;
  KeepPackedMemory& operator=(const KeepPackedMemory&) = delete;
};

}  // namespace massact::ops
