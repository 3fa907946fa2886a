// The memory of a packed matrix.
#pragma once

#include <cstddef>
#include <cstdint>

#include "massact/tensor/tensor.h"

namespace massact::ops::cpu {

/// A buffer that comes from, and goes back to, what KeepPackedMemory keeps.
class PackedBuffer {
 public:
  explicit PackedBuffer(std::int64_t bytes);
  ~PackedBuffer();
  PackedBuffer(const PackedBuffer&) = delete;
  PackedBuffer& operator=(const PackedBuffer&) = delete;

  std::byte* data() const { return buffer_.data(); }
  std::int64_t size() const { return buffer_.size(); }

 private:
  Buffer<std::byte> buffer_;
};

}  // namespace massact::ops::cpu
