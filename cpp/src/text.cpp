#include "ecocore/text.hpp"

#include <bit>
#include <cstring>
#include <limits>

#include "ecocore/error.hpp"

namespace ecocore {
namespace {

#include "unicode_table.inl"

constexpr char32_t kReplacement = 0xFFFD;

// One word a code point: bits 0..23 what it becomes (the code point itself where the length is 1, else a position in
// the pool), 24..27 the length, 28..30 the class, 31 set where a vanishing character belongs to the one before it.
class UnicodeTable {
 public:
  UnicodeTable() : words_(kTableEnd) {
    char32_t low = 0;
    std::uint32_t cls = static_cast<std::uint32_t>(CharClass::kOther);
    const auto fill = [&](char32_t high) {
      for (char32_t c = low; c < high; ++c) words_[c] = c | 1u << 24 | cls << 28;
    };
    for (std::size_t i = 0; i < std::size(kClasses); i += 2) {
      fill(kClasses[i]);
      low = kClasses[i];
      cls = kClasses[i + 1];
    }
    fill(kTableEnd);
    for (std::size_t i = 0; i < std::size(kChanges);) {
      const char32_t c = kChanges[i], length = kChanges[i + 1];
      std::uint32_t payload = 0;
      if (length == 1) {
        payload = kChanges[i + 2];
      } else if (length > 1) {
        payload = static_cast<std::uint32_t>(pool_.size());
        pool_.append(kChanges + i + 2, length);
      }
      words_[c] = (words_[c] & 7u << 28) | length << 24 | payload;
      if (length == 0 && ((c >= 0x300 && c <= 0x36F) || (c >= 0xFE00 && c <= 0xFE0F))) words_[c] |= 1u << 31;
      i += 2 + length;
    }
  }

  // Beyond the table: tags and variation selectors (U+E0000 to U+E0FFF, which Unicode has renderers ignore) belong to
  // the character before them; private use and what is unassigned becomes U+FFFD.
  std::uint32_t word(char32_t c) const {
    constexpr auto kOther = static_cast<std::uint32_t>(CharClass::kOther) << 28;
    if (c < kTableEnd) return words_[c];
    return c >= 0xE0000 && c < 0xE1000 ? 1u << 31 | kOther : kReplacement | 1u << 24 | kOther;
  }
  const char32_t* pool(std::uint32_t position) const { return pool_.data() + position; }

 private:
  std::vector<std::uint32_t> words_;
  std::u32string pool_;
};

const UnicodeTable& table() {
  static const UnicodeTable t;
  return t;
}

bool is_surrogate(char32_t c) {
  return c >= 0xD800 && c < 0xE000;
}

}  // namespace

std::u32string decode_utf8(std::string_view bytes) {
  std::u32string out;
  out.reserve(bytes.size());
  for (std::size_t i = 0; i < bytes.size();) {
    const auto lead = static_cast<unsigned char>(bytes[i]);
    const int extra = lead < 0x80                   ? 0
                      : lead >= 0xC2 && lead < 0xE0 ? 1
                      : (lead & 0xF0) == 0xE0       ? 2
                      : lead >= 0xF0 && lead < 0xF5 ? 3
                                                    : -1;
    char32_t c = extra == 0 ? lead : extra == 1 ? lead & 0x1Fu : extra == 2 ? lead & 0x0Fu : lead & 0x07u;
    bool ok = extra >= 0 && i + static_cast<std::size_t>(extra) < bytes.size();
    for (int k = 1; ok && k <= extra; ++k) {
      const auto b = static_cast<unsigned char>(bytes[i + static_cast<std::size_t>(k)]);
      ok = (b & 0xC0) == 0x80;
      c = c << 6 | (b & 0x3Fu);
    }
    constexpr char32_t kSmallest[] = {0, 0x80, 0x800, 0x10000};
    ok = ok && c >= kSmallest[extra] && c <= 0x10FFFF && !is_surrogate(c);
    out.push_back(ok ? c : kReplacement);
    i += ok ? static_cast<std::size_t>(extra) + 1 : 1;
  }
  return out;
}

void append_utf8(char32_t c, std::string& out) {
  if (c > 0x10FFFF || is_surrogate(c)) c = kReplacement;
  if (c < 0x80) {
    out.push_back(static_cast<char>(c));
    return;
  }
  const int extra = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
  constexpr char32_t kLead[] = {0, 0xC0, 0xE0, 0xF0};
  out.push_back(static_cast<char>(kLead[extra] | c >> (6 * extra)));
  for (int k = extra - 1; k >= 0; --k) out.push_back(static_cast<char>(0x80u | (c >> (6 * k) & 0x3Fu)));
}

CharClass char_class(char32_t c) {
  return static_cast<CharClass>(table().word(c) >> 28 & 7u);
}

NormalizedText normalize(std::u32string_view source) {
  require(source.size() < static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max()) / 16,
          "text: expected fewer than 134 million characters; cut it into messages");
  const UnicodeTable& t = table();
  NormalizedText out;
  out.chars.reserve(source.size());
  out.begin.reserve(source.size());
  out.end.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    const std::uint32_t word = t.word(source[i]);
    const std::uint32_t length = word >> 24 & 15u, payload = word & 0xFFFFFFu;
    const auto at = static_cast<std::int32_t>(i);
    if (length == 0 && word >> 31 && !out.end.empty() && out.end.back() == at) out.end.back() = at + 1;
    for (std::uint32_t k = 0; k < length; ++k) {
      const char32_t c = length == 1 ? payload : t.pool(payload)[k];
      if (c == U' ' && (out.chars.empty() || out.chars.back() == U' ')) continue;
      out.chars.push_back(c);
      out.begin.push_back(at);
      out.end.push_back(at + 1);
    }
  }
  if (!out.chars.empty() && out.chars.back() == U' ') {
    out.chars.pop_back();
    out.begin.pop_back();
    out.end.pop_back();
  }
  return out;
}

std::vector<Token> tokenize(const NormalizedText& text) {
  std::vector<Token> tokens;
  for (std::int32_t i = 0; i < text.size(); ++i) {
    const CharClass kind = char_class(text.chars[static_cast<std::size_t>(i)]);
    if (kind == CharClass::kSpace) continue;
    const bool runs = kind == CharClass::kLetter || kind == CharClass::kDigit;
    if (runs && !tokens.empty() && tokens.back().kind == kind && tokens.back().end == i)
      tokens.back().end = i + 1;
    else
      tokens.push_back({i, i + 1, kind});
  }
  return tokens;
}

std::uint32_t murmur3_32(const void* bytes, std::size_t size, std::uint32_t seed) {
  constexpr std::uint32_t c1 = 0xCC9E2D51u, c2 = 0x1B873593u;
  const auto* p = static_cast<const unsigned char*>(bytes);
  std::uint32_t h = seed;
  const auto mix = [&](std::uint32_t k) { return std::rotl(k * c1, 15) * c2; };
  std::size_t i = 0;
  for (; i + 4 <= size; i += 4) {
    // Blocks are little endian by definition of the hash's reference.
    const std::uint32_t k =
        p[i] | std::uint32_t{p[i + 1]} << 8 | std::uint32_t{p[i + 2]} << 16 | std::uint32_t{p[i + 3]} << 24;
    h = std::rotl(h ^ mix(k), 13) * 5 + 0xE6546B64u;
  }
  std::uint32_t tail = 0;
  for (std::size_t k = size; k-- > i;) tail = tail << 8 | p[k];
  if (i < size) h ^= mix(tail);
  h ^= static_cast<std::uint32_t>(size);
  h = (h ^ h >> 16) * 0x85EBCA6Bu;
  h = (h ^ h >> 13) * 0xC2B2AE35u;
  return h ^ h >> 16;
}

}  // namespace ecocore
