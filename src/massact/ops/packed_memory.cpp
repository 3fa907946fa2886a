#include "massact/ops/packed_memory.h"

#include <map>
#include <mutex>
#include <utility>

#include "massact/ops/cpu/packed_buffer.h"

namespace massact::ops {
namespace {

// Buffers without an owner, by size.
class SpareBuffers {
 public:
  Buffer<std::byte> take(std::int64_t bytes) {
    {
      const std::lock_guard lock(mutex_);
      const auto found = spare_.find(bytes);
      if (found != spare_.end()) {
        Buffer<std::byte> buffer = std::move(found->second);
        spare_.erase(found);
        return buffer;
      }
    }
    return Buffer<std::byte>(bytes);
  }

  void give(Buffer<std::byte> buffer) {
    const std::lock_guard lock(mutex_);
    if (keepers_ > 0 && buffer.size() > 0) spare_.emplace(buffer.size(), std::move(buffer));
  }

  void keep() {
    const std::lock_guard lock(mutex_);
    ++keepers_;
  }

  void stop_keeping() {
    const std::lock_guard lock(mutex_);
    if (--keepers_ == 0) spare_.clear();
  }

 private:
  std::mutex mutex_;
  int keepers_ = 0;
  std::multimap<std::int64_t, Buffer<std::byte>> spare_;
};

// Never destroyed: matrices in static objects may outlive it.
SpareBuffers& spare_buffers() {
  static auto* const spare = new SpareBuffers;
  return *spare;
}

}  // namespace

KeepPackedMemory::KeepPackedMemory() { spare_buffers().keep(); }
KeepPackedMemory::~KeepPackedMemory() { spare_buffers().stop_keeping(); }

namespace cpu {

PackedBuffer::PackedBuffer(std::int64_t bytes) : buffer_(spare_buffers().take(bytes)) {}
PackedBuffer::~PackedBuffer() { spare_buffers().give(std::move(buffer_)); }

}  // namespace cpu
}  // namespace massact::ops
