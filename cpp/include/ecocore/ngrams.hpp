// A text as a sparse vector of hashed n-grams.
//
// Three groups, each with a seed of its own for MurmurHash3, so that the same string in two groups is two features:
//   kWords (seed 0): words and pairs of neighbouring words, joined by a space. Numbers of more than four digits stand
//   as
//     "#" and their length, so that no order number is a feature; other single characters (?, !, emoji) stand alone.
//   kCharacters (seed 1): pieces of 2 to 5 characters of " word ", and of 2 to 4 ideographs of a run of them.
//   kMeanings (seed 2): words, and pieces of 1 to 4 ideographs, to be looked up in a table of word vectors.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ecocore/text.hpp"

namespace ecocore {

enum NgramGroup : int { kWords = 0, kCharacters = 1, kMeanings = 2 };
inline constexpr int kNgramGroups = 3;

struct Ngram {
  std::uint32_t hash = 0;  // murmur3_32 of the UTF-8 bytes, seed = group
  std::uint8_t group = 0;
  std::int32_t begin = 0;  // in NormalizedText::chars
  std::int32_t end = 0;
};

// All n-grams of a text, in the order of the groups and then of the text, repeated ones as often as they stand there.
void extract_ngrams(const NormalizedText& text, const std::vector<Token>& tokens, bool meanings,
                    std::vector<Ngram>& out);

// The string whose hash extract_ngrams() gives, for each n-gram in the same order.
std::vector<std::string> ngram_strings(const NormalizedText& text, const std::vector<Token>& tokens, bool meanings);

}  // namespace ecocore
