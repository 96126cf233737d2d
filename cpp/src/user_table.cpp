#include "user_table.hpp"

#include <algorithm>
#include <bit>
#include <functional>
#include <limits>
#include <new>

#include "ecocore/error.hpp"

namespace ecocore {

std::uint32_t hash_of(std::string_view key) {
  return static_cast<std::uint32_t>(std::hash<std::string_view>{}(key));
}

void check_key(std::string_view text) {
  if (text.empty() || text.size() > std::numeric_limits<std::uint32_t>::max())
    throw InvalidArgument("user: expected a key of 1 to 4294967295 bytes; got " + std::to_string(text.size()));
}

UserKey::UserKey(std::string_view text, std::uint32_t hash) : hash_(hash) {
  const auto size = static_cast<std::uint32_t>(text.size());
  char* to = near_;
  if (size > kNear) to = far_ = new char[size];
  std::copy_n(text.data(), size, to);
  size_ = size;
}

UserKey& UserKey::operator=(UserKey&& other) noexcept {
  if (this == &other) return *this;
  clear();
  std::copy_n(other.near_, kNear, near_);  // the pointer as well, which lies there
  size_ = other.size_;
  hash_ = other.hash_;
  other.size_ = 0;
  return *this;
}

void UserKey::clear() {
  if (!is_near()) delete[] far_;
  size_ = 0;
}

UserTable::UserTable(std::int64_t capacity)
    : capacity_(capacity),
      mask_(static_cast<std::uint32_t>(std::bit_ceil(static_cast<std::uint64_t>(2 * capacity)) - 1)),
      index_(std::int64_t{mask_} + 1, 1),
      slots_(capacity, 1) {}

UserTable::~UserTable() {
  for (std::int32_t s = 0; s < used_; ++s) slots_.row(s)->~UserSlot();
}

std::int32_t UserTable::find(std::string_view key, std::uint32_t hash) const {
  for (std::uint32_t place = hash & mask_;; place = (place + 1) & mask_) {
    const Entry& e = *index_.row(place);
    if (e.slot_and_one == 0) return -1;
    const auto slot = static_cast<std::int32_t>(e.slot_and_one - 1);
    if (e.hash == hash && (*this)[slot].key.text() == key) return slot;
  }
}

void UserTable::prefetch_slot(std::uint32_t hash) const {
  const Entry& e = *index_.row(hash & mask_);
  if (e.slot_and_one) __builtin_prefetch(slots_.row(e.slot_and_one - 1), 1);
}

std::int32_t UserTable::add(UserKey key) {
  std::int32_t slot = free_;
  if (slot >= 0) {
    free_ = (*this)[slot].newer;
    (*this)[slot] = UserSlot{};
  } else {
    slot = used_++;
    new (slots_.row(slot)) UserSlot{};
  }
  std::uint32_t place = key.hash() & mask_;
  while (index_.row(place)->slot_and_one) place = (place + 1) & mask_;
  *index_.row(place) = {key.hash(), static_cast<std::uint32_t>(slot) + 1};
  (*this)[slot].key = std::move(key);
  link(slot);
  ++size_;
  return slot;
}

void UserTable::remove(std::int32_t slot) {
  // The entries behind it, up to the first empty place, move up unless that would put them before their own place.
  std::uint32_t hole = place_of(slot);
  for (std::uint32_t next = (hole + 1) & mask_; index_.row(next)->slot_and_one; next = (next + 1) & mask_) {
    const std::uint32_t home = index_.row(next)->hash & mask_;
    if (((next - home) & mask_) < ((next - hole) & mask_)) continue;
    *index_.row(hole) = *index_.row(next);
    hole = next;
  }
  *index_.row(hole) = {};
  unlink(slot);
  (*this)[slot] = UserSlot{};
  (*this)[slot].newer = free_;
  free_ = slot;
  --size_;
}

void UserTable::touch(std::int32_t slot) {
  unlink(slot);
  link(slot);
}

std::uint32_t UserTable::place_of(std::int32_t slot) const {
  std::uint32_t place = (*this)[slot].key.hash() & mask_;
  while (index_.row(place)->slot_and_one != static_cast<std::uint32_t>(slot) + 1) place = (place + 1) & mask_;
  return place;
}

void UserTable::unlink(std::int32_t slot) {
  const std::int32_t a = (*this)[slot].older, b = (*this)[slot].newer;
  (a < 0 ? oldest_ : (*this)[a].newer) = b;
  (b < 0 ? newest_ : (*this)[b].older) = a;
}

void UserTable::link(std::int32_t slot) {
  (*this)[slot].older = newest_;
  (*this)[slot].newer = -1;
  (newest_ < 0 ? oldest_ : (*this)[newest_].newer) = slot;
  newest_ = slot;
}

}  // namespace ecocore
