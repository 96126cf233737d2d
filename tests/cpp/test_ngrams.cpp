// n-grams: hashes are those of the strings, places lie in the text, sizes at every border.
#include "ecocore/ngrams.hpp"

#include <set>

#include "check.hpp"

using namespace ecocore;

namespace {

std::vector<Ngram> cut(const std::u32string& source, bool meanings) {
  const NormalizedText text = normalize(source);
  const std::vector<Token> tokens = tokenize(text);
  std::vector<Ngram> out{{1, 1, 1, 1}};  // what was there before is not kept
  extract_ngrams(text, tokens, meanings, out);
  const std::vector<std::string> strings = ngram_strings(text, tokens, meanings);
  CHECK(strings.size() == out.size());
  for (std::size_t i = 0; i < out.size(); ++i) {
    CHECK(out[i].hash == murmur3_32(strings[i].data(), strings[i].size(), out[i].group));
    CHECK(0 <= out[i].begin && out[i].begin < out[i].end && out[i].end <= text.size());
    CHECK(meanings || out[i].group != kMeanings);
  }
  return out;
}

}  // namespace

TEST(ngrams_of_words_at_the_borders_of_their_sizes) {
  CHECK(cut(U"", true).empty());
  CHECK(cut(U"a", false).size() == 1 + 3);  // the word; " a", "a ", " a "
  for (const std::size_t length : {1u, 2u, 3u, 4u, 5u, 39u, 40u, 41u, 5000u}) {
    const auto own = cut(std::u32string(length, U'a'), true);
    const std::size_t padded = std::min<std::size_t>(length, 40) + 2;
    std::size_t pieces = 0;
    for (std::size_t n = 2; n <= 5 && n <= padded; ++n) pieces += padded - n + 1;
    CHECK(own.size() == 1 + pieces + 1);
  }
}

TEST(ngrams_of_numbers_hide_long_ones) {
  const auto a = cut(U"12345678", true), b = cut(U"87654321", true);
  CHECK(a.size() == 1 && b.size() == 1 && a[0].hash == b[0].hash);
  CHECK(cut(U"1234", false)[0].hash != cut(U"4321", false)[0].hash);
}

TEST(ngrams_of_ideographs_stop_at_the_end_of_their_run) {
  for (const std::size_t length : {1u, 2u, 3u, 4u, 5u, 6u, 1000u}) {
    std::size_t meanings = 0;
    for (const Ngram& n : cut(std::u32string(length, U'\u6211'), true)) meanings += n.group == kMeanings;
    std::size_t expected = 0;
    for (std::size_t n = 1; n <= 4 && n <= length; ++n) expected += length - n + 1;
    CHECK(meanings == expected);
  }
}

TEST(ngrams_of_strange_and_of_long_texts) {
  for (const std::u32string& unit : {std::u32string(U"a "), std::u32string(U"\u6211a1?"), std::u32string(1, 0xD800),
                                     std::u32string(U"\U0001F600"), std::u32string(1, U'\0')}) {
    std::u32string text;
    while (text.size() < 100'000) text += unit;
    cut(text, true);
  }
}
