// What a sequence tagger reads of a token, and how its scores become spans.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "ecocore/key_index.hpp"
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

// The vectors of tokens: sums of the rows of a table that a hash stands for; unknown hashes add nothing. The table is
// kept as int8 codes with one scale a row.
class TokenTable {
 public:
  // keys: hashes, all different; codes [keys, width], scales [keys]. The keys are copied, the views must outlive it.
  TokenTable(const std::uint32_t* keys, MatrixView<const std::int8_t> codes, const float* scales);

  std::int64_t width() const { return codes_.cols; }

  // out [tokens, width]
  void vectors(std::u32string_view source, const NormalizedText& text, const std::vector<Token>& tokens,
               const std::vector<RuleSpan>& rules, float* out) const;

 private:
  KeyIndex index_;
  MatrixView<const std::int8_t> codes_;
  const float* scales_;
};

struct TaggedSpan {
  std::int32_t slot;        // its number
  std::int32_t begin, end;  // in tokens
  float log_chance;         // the smallest of the emissions along the path: a span is as sure as its least sure token
};

// Spans of the best path of BIO tags: tag 0 is outside, 1 + 2k begins slot k, 2 + 2k continues it, and stands only
// after one of these two. The path is the sequence whose sum of emissions [tokens, tags] is largest; of equal ones that
// with the smaller tag at the first difference from the end. Linear in the number of tags.
std::vector<TaggedSpan> decode_bio(MatrixView<const float> emissions);

}  // namespace ecocore
