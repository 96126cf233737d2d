#include "ecocore/key_index.hpp"

#include <algorithm>
#include <bit>

#include "ecocore/error.hpp"

namespace ecocore {

KeyIndex::KeyIndex(const std::uint32_t* keys, std::int64_t count) {
  require(count < (std::int64_t{1} << 30), "keys: expected fewer than 2^30 n-grams; raise min_texts");
  slots_.resize(std::bit_ceil(static_cast<std::size_t>(std::max<std::int64_t>(count, 1)) * 2));
  mask_ = static_cast<std::uint32_t>(slots_.size() - 1);
  for (std::int64_t i = 0; i < count; ++i) {
    std::uint32_t slot = keys[i] & mask_;
    for (; slots_[slot].row >= 0; slot = (slot + 1) & mask_)
      require(slots_[slot].key != keys[i], "keys: expected different hashes; one stands twice");
    slots_[slot] = {keys[i], static_cast<std::int32_t>(i)};
  }
}

}  // namespace ecocore
