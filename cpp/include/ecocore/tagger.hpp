// What a sequence tagger reads of a token, and how its scores become spans.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "ecocore/text.hpp"
#include "ecocore/views.hpp"

namespace ecocore {

// Features of one token, each the MurmurHash3 of a string with the number of the feature as seed:
//   words and numbers: 0 the word ("#" and the length for numbers of more than four digits, which have no more), 1 and
//   2 its first two and three characters, 3, 4 and 5 its last two, three and four; ideographs: 0 the character, 1 with
//   the one before, 2 with the one after, 3 with both, 4 with the two before, 5 with the two after. All: 6 the shape
//   (class, case, length), 7 and 8 what rules and lookup lists say of it (a tag each, or nothing).
inline constexpr int kTokenFeatures = 9;
inline constexpr int kRuleFeatures = 2;

// A span that a rule or a lookup list found, in code points of the source.
struct RuleSpan {
  std::int32_t begin, end;
  std::uint32_t tag;  // any number that stands for the name of the rule
};

// Appends kTokenFeatures hashes for every token. 0 stands for "no such feature".
void token_features(std::u32string_view source, const NormalizedText& text, const std::vector<Token>& tokens,
                    const std::vector<RuleSpan>& rules, std::vector<std::uint32_t>& out);

// The best path: the sequence of tags whose sum of start, emissions, transitions and end is largest; of equal ones that
// with the smaller tag at the first difference from the end. Transitions of -infinity are never taken.
// emissions [tokens, tags], transitions [from, to], start and end [tags].
std::vector<std::int32_t> viterbi(MatrixView<const float> emissions, MatrixView<const float> transitions,
                                  const float* start, const float* end);

}  // namespace ecocore
