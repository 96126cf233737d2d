// Hashes to the rows of a table.
#pragma once

#include <cstdint>
#include <vector>

namespace ecocore {

// Open addressing with linear probing, at most half full. Keys are hashes already: their low bits are the slot.
class KeyIndex {
 public:
  // Key i stands for row i. Throws InvalidArgument for a key that stands twice.
  KeyIndex(const std::uint32_t* keys, std::int64_t count);

  std::int32_t row(std::uint32_t key) const {  // -1: unknown
    for (std::uint32_t slot = key & mask_;; slot = (slot + 1) & mask_) {
      if (slots_[slot].row < 0) return -1;
      if (slots_[slot].key == key) return slots_[slot].row;
    }
  }

 private:
  struct Slot {
    std::uint32_t key = 0;
    std::int32_t row = -1;  // empty
  };
  std::vector<Slot> slots_;
  std::uint32_t mask_ = 0;
};

}  // namespace ecocore
