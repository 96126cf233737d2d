// Phrase lists: empty ones, nested ones, long texts, and many readers of one list.
#include "ecocore/lookup.hpp"

#include <atomic>
#include <memory>
#include <mutex>
#include <thread>

#include "check.hpp"

using namespace ecocore;

namespace {

std::vector<std::int32_t> phrases_in(const PhraseMatcher& matcher, const std::u32string& source) {
  const NormalizedText text = normalize(source);
  std::vector<std::int32_t> out;
  std::int32_t last = 0;
  for (const PhraseMatch& m : matcher.find(text)) {
    CHECK(last <= m.begin && m.begin < m.end && m.end <= text.size());
    CHECK(0 <= m.phrase && m.phrase < matcher.size());
    last = m.end;
    out.push_back(m.phrase);
  }
  return out;
}

}  // namespace

TEST(lookup_empty_lists_and_empty_phrases_match_nothing) {
  CHECK(phrases_in(PhraseMatcher({}), U"anything").empty());
  const PhraseMatcher blank({U"", U" ", std::u32string(3, U'\0'), U"\u200B"});
  CHECK(blank.size() == 4);
  CHECK(phrases_in(blank, U" a \u200B").empty());
  CHECK(phrases_in(PhraseMatcher({U"a"}), U"").empty());
}

TEST(lookup_takes_the_leftmost_then_the_longest) {
  const PhraseMatcher nested({U"b", U"a b", U"a b c", U"c d", U"a b"});
  CHECK(phrases_in(nested, U"A b C d b") == (std::vector<std::int32_t>{2, 0}));
  CHECK(phrases_in(nested, U"xa b") == (std::vector<std::int32_t>{0}));
}

TEST(lookup_a_hundred_thousand_characters) {
  std::vector<std::u32string> ladder;
  for (std::size_t n = 1; n <= 20; ++n) ladder.push_back(std::u32string(n, U'\u6211'));
  CHECK(phrases_in(PhraseMatcher(ladder), std::u32string(100'000, U'\u6211')).size() == 5'000);
  CHECK(phrases_in(PhraseMatcher({std::u32string(100'000, U'a')}), std::u32string(100'000, U'a')).size() == 1);
}

TEST(lookup_lists_are_swapped_while_others_read) {
  using List = std::shared_ptr<const PhraseMatcher>;
  const auto make = [](std::vector<std::u32string> phrases) { return std::make_shared<const PhraseMatcher>(phrases); };
  std::mutex mutex;  // libstdc++ 12's atomic<shared_ptr> is not understood by ThreadSanitizer
  List shared = make({U"red"});
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::vector<std::thread> readers;
  for (int r = 0; r < 3; ++r)
    readers.emplace_back([&] {
      while (!stop) {
        List own;
        {
          const std::lock_guard lock(mutex);
          own = shared;
        }
        wrong += phrases_in(*own, U"a red and a blue one").size() != static_cast<std::size_t>(own->size());
      }
    });
  for (int i = 0; i < 200; ++i) {
    List next = i % 2 ? make({U"red"}) : make({U"red", U"blue"});
    const std::lock_guard lock(mutex);
    shared.swap(next);
  }
  stop = true;
  for (auto& t : readers) t.join();
  CHECK(wrong == 0);
}
