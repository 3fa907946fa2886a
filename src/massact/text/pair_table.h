// A hash table from pairs of token ids to what they merge into: the inner loop of BPE.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace massact {

/// Maps (left, right) ids, both >= 0, to a value. Open addressing, grows to at most half full.
template <typename Value>
class PairTable {
 public:
  explicit PairTable(std::size_t expected = 0)
      : slots_(std::bit_ceil(2 * expected + 16)), mask_(slots_.size() - 1) {}

  /// Sets the value of a pair, replacing one that is there.
  void set(std::int32_t left, std::int32_t right, const Value& value) {
    if (2 * (size_ + 1) > slots_.size()) grow();
    Slot& slot = slots_[find_slot(key_of(left, right))];
    if (slot.key == kFree) ++size_;
    slot.key = key_of(left, right);
    slot.value = value;
  }

  /// The value of a pair, or null.
  const Value* find(std::int32_t left, std::int32_t right) const {
    const Slot& slot = slots_[find_slot(key_of(left, right))];
    return slot.key == kFree ? nullptr : &slot.value;
  }

 private:
  static constexpr std::uint64_t kFree = ~0ull;
  struct Slot {
    std::uint64_t key = kFree;
    Value value{};
  };

  static std::uint64_t key_of(std::int32_t left, std::int32_t right) {
    return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
           static_cast<std::uint32_t>(right);
  }

  std::size_t find_slot(std::uint64_t key) const {
    std::uint64_t hash = key * 0x9E3779B97F4A7C15ull;
    std::size_t at = static_cast<std::size_t>(hash ^ (hash >> 32)) & mask_;
    while (slots_[at].key != kFree && slots_[at].key != key) at = (at + 1) & mask_;
    return at;
  }

  void grow() {
    std::vector<Slot> old(slots_.size() * 2);
    old.swap(slots_);
    mask_ = slots_.size() - 1;
    for (const Slot& slot : old)
      if (slot.key != kFree) slots_[find_slot(slot.key)] = slot;
  }

  std::vector<Slot> slots_;
  std::size_t mask_;
  std::size_t size_ = 0;
};

}  // namespace massact
