// Text of any kind and length: every offset must lie in the source. AddressSanitizer looks on.
#include "ecocore/text.hpp"

#include <random>
#include <string>
#include <thread>

#include "check.hpp"

using namespace ecocore;
using namespace std::string_literals;

namespace {

void check_offsets(const std::u32string& source) {
  const NormalizedText n = normalize(source);
  CHECK(n.begin.size() == n.chars.size() && n.end.size() == n.chars.size());
  const auto size = static_cast<std::int32_t>(source.size());
  for (std::size_t i = 0; i < n.chars.size(); ++i) {
    CHECK(0 <= n.begin[i] && n.begin[i] < n.end[i] && n.end[i] <= size);
    CHECK(i == 0 || n.begin[i - 1] <= n.begin[i]);
  }
  CHECK(n.chars.empty() || (n.chars.front() != U' ' && n.chars.back() != U' '));
  std::int32_t last = 0;
  for (const Token& t : tokenize(n)) {
    CHECK(last <= t.begin && t.begin < t.end && t.end <= n.size());
    last = t.end;
  }
}

}  // namespace

TEST(text_reads_ill_formed_utf8_byte_by_byte) {
  CHECK(decode_utf8("") == U"");
  CHECK(decode_utf8("a\xE4\xBD\xA0\xF0\x9F\x98\x80"s) == U"a\u4F60\U0001F600");
  for (const std::string& bad :
       {"\xC0\xAF"s, "\xED\xA0\x80"s, "\xF4\x90\x80\x80"s, "\xE4\xBD"s, "\x80"s, "\xF0\x9F\x98"s})
    CHECK(decode_utf8(bad) == std::u32string(bad.size(), 0xFFFD));
  CHECK(decode_utf8("\xE4\xBD"s + "a") == U"\uFFFD\uFFFDa");
  CHECK(decode_utf8("a\0b"s) == U"a\0b"s);
}

TEST(text_any_bytes_have_a_reading_with_offsets_inside) {
  std::mt19937 rng(1);
  for (int round = 0; round < 300; ++round) {
    std::string bytes(rng() % 64, '\0');
    for (char& c : bytes) c = static_cast<char>(rng());
    const std::u32string text = decode_utf8(bytes);
    std::string again;
    for (const char32_t c : text) append_utf8(c, again);
    CHECK(decode_utf8(again) == text);
    check_offsets(text);
  }
}

TEST(text_any_code_points_have_offsets_inside) {
  std::mt19937 rng(2);
  const char32_t few[] = {U' ',   U'\0',     U'a',      U'\u0301', U'\u200D', U'\uFE0F',
                          0xD800, U'\u8A02', U'\uFB03', U'\u00BC', 0x10FFFF};
  for (int round = 0; round < 500; ++round) {
    std::u32string text(rng() % 40, U' ');
    for (char32_t& c : text) c = rng() % 2 ? few[rng() % std::size(few)] : static_cast<char32_t>(rng() % 0x120000);
    check_offsets(text);
  }
}

TEST(text_a_hundred_kilobytes) {
  for (const std::u32string& unit : {U"a"s, U"\u8A02"s, U" "s, U"\u0301"s, U"\uFDFA"s, U"1,"s, U"\U0001F600\uFE0F"s}) {
    std::u32string text;
    while (text.size() < 100'000) text += unit;
    check_offsets(text);
  }
}

TEST(text_the_table_is_made_once_by_many_threads) {
  std::vector<std::thread> threads;
  std::vector<std::u32string> out(6);
  for (std::size_t i = 0; i < out.size(); ++i)
    threads.emplace_back([&, i] { out[i] = normalize(U"\u8A02\u55AE\uFF11 STRASSE").chars; });
  for (auto& t : threads) t.join();
  for (const auto& o : out) CHECK(o == U"\u8BA2\u53551 strasse");
}

TEST(text_hash_at_every_length_and_alignment) {
  const std::string bytes(40, 'x');
  for (std::size_t from = 0; from < 4; ++from)
    for (std::size_t size = 0; size + from <= bytes.size(); ++size) {
      const std::string own = bytes.substr(from, size);  // a heap block of exactly this size
      CHECK(murmur3_32(own.data(), own.size(), 7) == murmur3_32(bytes.data() + from, size, 7));
    }
  CHECK(murmur3_32("", 0, 1) == 0x514E28B7u);
}
