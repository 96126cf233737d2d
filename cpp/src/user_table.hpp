// Users by their keys: each one's slot, and who was touched longest ago.
#pragma once

#include <cstdint>
#include <string_view>

#include "lazy_array.hpp"

namespace ecocore {

std::uint32_t hash_of(std::string_view key);

// Throws InvalidArgument for a text that cannot be a key.
void check_key(std::string_view text);

// A key and its hash. Short keys lie in the object itself, so that comparing one touches no other memory.
class UserKey {
 public:
  UserKey() = default;                                 // nobody's
  UserKey(std::string_view text, std::uint32_t hash);  // expects one that check_key() passes
  UserKey(UserKey&& other) noexcept { *this = static_cast<UserKey&&>(other); }
  UserKey& operator=(UserKey&& other) noexcept;
  ~UserKey() { clear(); }

  std::string_view text() const { return {is_near() ? near_ : far_, size_}; }
  std::uint32_t hash() const { return hash_; }

 private:
  static constexpr std::uint32_t kNear = 16;  // a whole number takes 9, and the slot fills a line of cache
  bool is_near() const { return size_ <= kNear; }
  void clear();

  union {
    char near_[kNear] = {};
    char* far_;
  };
  std::uint32_t size_ = 0, hash_ = 0;
};

// What is known of a user beside states and events, together in one line of cache.
struct UserSlot {
  UserKey key;  // nobody's: the slot is free
  double last_time = 0, last_used = 0;
  std::int64_t count = 0;               // of events
  std::int32_t older = -1, newer = -1;  // list of use; of free slots `newer` is the next free one
  std::int32_t kept = 0;                // how many of the last events are kept
  std::int32_t row = 0;                 // of the user in the batch that was last grouped, if that row's slot is this
};
static_assert(sizeof(UserSlot) == 64);

// At most `capacity` users. Nothing here takes memory after construction, but for the pages that the system gives as
// they are first touched: no call fails, and none pays for the growth of a map.
class UserTable {
 public:
  explicit UserTable(std::int64_t capacity);
  ~UserTable();
  UserTable(const UserTable&) = delete;
  UserTable& operator=(const UserTable&) = delete;

  std::int64_t size() const { return size_; }
  std::int64_t capacity() const { return capacity_; }
  UserSlot& operator[](std::int32_t slot) { return *slots_.row(slot); }
  const UserSlot& operator[](std::int32_t slot) const { return *slots_.row(slot); }

  std::int32_t find(std::string_view key, std::uint32_t hash) const;  // -1: not held

  // Looking up takes two accesses to memory, one after the other; who looks up many users asks for them ahead.
  void prefetch(std::uint32_t hash) const { __builtin_prefetch(index_.row(hash & mask_)); }
  void prefetch_slot(std::uint32_t hash) const;  // useful once prefetch() has arrived

  std::int32_t add(UserKey key);  // as the latest in use; expects size() < capacity() and a user who is not held
  void remove(std::int32_t slot);
  void touch(std::int32_t slot);  // makes it the latest in use

  std::int32_t oldest() const { return oldest_; }  // -1: none
  std::int32_t newer(std::int32_t slot) const { return (*this)[slot].newer; }

 private:
  // Open addressing with linear probing, at most half full. A hash's low bits are its place.
  struct Entry {
    std::uint32_t hash;
    std::uint32_t slot_and_one;  // 0 = empty
  };
  void unlink(std::int32_t slot);
  void link(std::int32_t slot);
  std::uint32_t place_of(std::int32_t slot) const;

  std::int64_t capacity_, size_ = 0;
  std::uint32_t mask_;
  LazyArray<Entry> index_;
  LazyArray<UserSlot> slots_;
  std::int32_t used_ = 0;  // slots that were ever taken are those before it
  std::int32_t free_ = -1;
  std::int32_t oldest_ = -1, newest_ = -1;
};

}  // namespace ecocore
