// Text as the language models see it: normalised code points that remember where they came from, and tokens.
//
// Offsets count code points of the caller's text, as Python's str does; normalisation never loses them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ecocore {

// UTF-8 to code points. Every byte that is no part of a valid sequence (overlong, surrogate, cut short, stray) becomes
// one U+FFFD, so that any input has a reading.
std::u32string decode_utf8(std::string_view bytes);

// Appends the UTF-8 form; surrogates and values beyond U+10FFFF become U+FFFD.
void append_utf8(char32_t c, std::string& out);

enum class CharClass : std::uint8_t { kSpace, kLetter, kDigit, kIdeograph, kOther };

// kIdeograph: scripts written without spaces (Chinese, Japanese, Korean, Thai ...): a character is a token.
CharClass char_class(char32_t c);

struct NormalizedText {
  std::u32string chars;
  std::vector<std::int32_t> begin;  // chars[i] comes from code points [begin[i], end[i]) of the source
  std::vector<std::int32_t> end;

  std::int32_t size() const { return static_cast<std::int32_t>(chars.size()); }
};

// NFKC for what shops meet (full and half width, ligatures, compatibility forms), case folding, accents off, digits of
// any script to 0-9, traditional to simplified Chinese, controls to spaces, format characters out, runs of spaces to
// one. The table is generated: tools/generate_unicode_table.py. At most 2^31 - 1 code points.
NormalizedText normalize(std::u32string_view source);

struct Token {
  std::int32_t begin = 0;  // in NormalizedText::chars
  std::int32_t end = 0;
  CharClass kind = CharClass::kOther;
};

// Runs of letters, runs of digits, single ideographs, single other characters; spaces separate.
std::vector<Token> tokenize(const NormalizedText& text);

// MurmurHash3_x86_32 of Austin Appleby (public domain), the hash of ONNX Runtime's com.microsoft.MurmurHash3 (with
// positive = 1, over the UTF-8 bytes of a string) and of scikit-learn's FeatureHasher.
std::uint32_t murmur3_32(const void* bytes, std::size_t size, std::uint32_t seed);

}  // namespace ecocore
