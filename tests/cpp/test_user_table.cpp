// The table of users against a plain list of the same operations.
#include "src/user_table.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "check.hpp"
#include "ecocore/error.hpp"

using namespace ecocore;

namespace {

// Short and long keys, of which every eighth has the same place in the index.
std::string key(std::uint32_t i) {
  return i % 2 ? "u" + std::to_string(i) : "a user with a key that is too long, number " + std::to_string(i);
}
std::uint32_t hash(std::uint32_t i) {
  return i % 8 ? hash_of(key(i)) : 7u;
}

bool agrees(const UserTable& table, const std::vector<std::uint32_t>& used, std::uint32_t users) {
  if (table.size() != static_cast<std::int64_t>(used.size())) return false;
  std::int32_t slot = table.oldest();
  for (const std::uint32_t u : used) {
    if (slot < 0 || table[slot].key.text() != key(u) || table.find(key(u), hash(u)) != slot) return false;
    slot = table.newer(slot);
  }
  if (slot >= 0) return false;
  for (std::uint32_t u = 0; u < users; ++u)
    if (std::find(used.begin(), used.end(), u) == used.end() && table.find(key(u), hash(u)) >= 0) return false;
  return true;
}

}  // namespace

TEST(user_table_agrees_with_a_list) {
  for (const std::int64_t capacity : {1, 3, 40}) {
    constexpr std::uint32_t kUsers = 60;
    UserTable table(capacity);
    std::vector<std::uint32_t> used;  // from the one touched longest ago
    std::uint32_t random = 1;
    for (int round = 0; round < 3000; ++round) {
      random = random * 1664525u + 1013904223u;
      const std::uint32_t u = (random >> 16) % kUsers;
      const std::int32_t slot = table.find(key(u), hash(u));
      const auto it = std::find(used.begin(), used.end(), u);
      CHECK((slot >= 0) == (it != used.end()));
      if (slot < 0) {
        if (table.size() == capacity) {
          table.remove(table.oldest());
          used.erase(used.begin());
        }
        const std::int32_t fresh = table.add(UserKey(key(u), hash(u)));
        CHECK(fresh < capacity);
        CHECK(table[fresh].count == 0 && table[fresh].kept == 0);  // nothing of who was there before
        table[fresh].count = table[fresh].kept = 1;
        used.push_back(u);
      } else if (random >> 8 & 1) {
        table.remove(slot);
        used.erase(it);
      } else {
        table.touch(slot);
        used.erase(it);
        used.push_back(u);
      }
      CHECK(agrees(table, used, kUsers));
    }
  }
}

TEST(user_keys_move) {
  const std::string text = "a key that does not lie in the object";
  UserKey a(text, 5), b("short", 6);
  UserKey c(std::move(a));
  CHECK(a.text().empty() && c.text() == text && c.hash() == 5);
  c = std::move(b);
  CHECK(c.text() == "short" && c.hash() == 6);
  c = UserKey(text, 7);
  CHECK(c.text() == text && c.hash() == 7);
  CHECK(UserKey("exactly sixteen!", 1).text() == "exactly sixteen!");
  CHECK_THROWS(InvalidArgument, "1 to 4294967295", check_key(""));
}
