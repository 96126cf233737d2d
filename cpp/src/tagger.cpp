#include "ecocore/tagger.hpp"

#include <algorithm>
#include <limits>
#include <string>

#include "ecocore/error.hpp"
#include "kernels/table.hpp"

namespace ecocore {
namespace {

constexpr std::int32_t kExactDigits = 4;

bool is_upper(char32_t source, char32_t normal) {
  return source != normal && source < 0x250 && normal < 0x250;
}

// Class, case and length of a token, e.g. "LXx5": letters, first one capital, rest small, five of them.
void append_shape(std::u32string_view source, const NormalizedText& text, const Token& t, std::string& out) {
  out += static_cast<char>('A' + static_cast<int>(t.kind));
  const std::int32_t length = t.end - t.begin;
  if (t.kind == CharClass::kLetter) {
    const auto upper = [&](std::int32_t i) {
      const auto at = static_cast<std::size_t>(i);
      return is_upper(source[static_cast<std::size_t>(text.begin[at])], text.chars[at]);
    };
    out += upper(t.begin) ? 'X' : 'x';
    out += length > 1 && upper(t.end - 1) ? 'X' : 'x';
  }
  if (t.kind == CharClass::kLetter || t.kind == CharClass::kDigit)
    out += std::to_string(t.kind == CharClass::kDigit ? std::min(length, 24) : std::min(length, 4));
  else if (t.kind == CharClass::kOther)
    append_utf8(text.chars[static_cast<std::size_t>(t.begin)], out);
}

}  // namespace

void token_features(std::u32string_view source, const NormalizedText& text, const std::vector<Token>& tokens,
                    const std::vector<RuleSpan>& rules, std::vector<std::uint32_t>& out) {
  out.reserve(out.size() + tokens.size() * kTokenFeatures);
  std::string s;
  const auto count = static_cast<std::int64_t>(tokens.size());
  std::size_t rule = 0;  // rules before this one end before the token
  for (std::int64_t i = 0; i < count; ++i) {
    const Token& t = tokens[static_cast<std::size_t>(i)];
    std::uint32_t f[kTokenFeatures] = {};
    const auto put = [&](int feature) {
      f[feature] = std::max(1u, murmur3_32(s.data(), s.size(), static_cast<std::uint32_t>(feature)));
    };
    const auto chars = [&](std::int32_t begin, std::int32_t end) {
      s.clear();
      for (std::int32_t c = begin; c < end; ++c) append_utf8(text.chars[static_cast<std::size_t>(c)], s);
    };
    const std::int32_t length = t.end - t.begin;
    const bool number_class = t.kind == CharClass::kDigit && length > kExactDigits;
    if (number_class) {
      s.assign(1, '#');
      s += std::to_string(std::min(length, 24));
      put(0);
    } else {
      chars(t.begin, std::min(t.end, t.begin + 40));
      put(0);
    }
    if (number_class) {
      // Its digits say nothing.
    } else if (t.kind == CharClass::kLetter || t.kind == CharClass::kDigit) {
      for (int n = 2; n <= 3; ++n)
        if (length >= n) {
          chars(t.begin, t.begin + n);
          put(n - 1);
        }
      for (int n = 2; n <= 4; ++n)
        if (length >= n) {
          chars(t.end - n, t.end);
          put(n + 1);
        }
    } else {
      // Neighbours by token, so that a space or a word is a border as it is for the reader.
      const auto neighbour = [&](std::int64_t k) {
        if (k < 0 || k >= count) {
          s += '|';
        } else {
          const Token& other = tokens[static_cast<std::size_t>(k)];
          if (other.kind == CharClass::kLetter || other.kind == CharClass::kDigit)
            s += other.kind == CharClass::kLetter ? "<w>" : "<n>";
          else
            append_utf8(text.chars[static_cast<std::size_t>(other.begin)], s);
        }
      };
      constexpr int kFrom[] = {-1, 0, -1, -2, 0}, kTo[] = {0, 1, 1, 0, 2};
      for (int k = 0; k < 5; ++k) {
        s.clear();
        for (int d = kFrom[k]; d <= kTo[k]; ++d) neighbour(i + d);
        put(k + 1);
      }
    }
    s.clear();
    append_shape(source, text, t, s);
    put(6);

    const std::int32_t begin = text.begin[static_cast<std::size_t>(t.begin)];
    const std::int32_t end = text.end[static_cast<std::size_t>(t.end - 1)];
    while (rule < rules.size() && rules[rule].end <= begin) ++rule;
    int slot = kTokenFeatures - kRuleFeatures;
    for (std::size_t r = rule; r < rules.size() && rules[r].begin < end && slot < kTokenFeatures; ++r) {
      if (rules[r].end <= begin) continue;
      s.assign(1, rules[r].begin >= begin ? 'B' : 'I');
      s += std::to_string(rules[r].tag);
      f[slot] = std::max(1u, murmur3_32(s.data(), s.size(), kTokenFeatures - kRuleFeatures));
      ++slot;
    }
    out.insert(out.end(), f, f + kTokenFeatures);
  }
}

TokenTable::TokenTable(const std::uint32_t* keys, MatrixView<const std::int8_t> codes, const float* scales)
    : index_(keys, codes.rows), codes_(codes), scales_(scales) {}

void TokenTable::vectors(std::u32string_view source, const NormalizedText& text, const std::vector<Token>& tokens,
                         const std::vector<RuleSpan>& rules, float* out) const {
  thread_local std::vector<std::uint32_t> hashes;
  hashes.clear();
  token_features(source, text, tokens, rules, hashes);
  std::fill(out, out + static_cast<std::int64_t>(tokens.size()) * width(), 0.0f);
  const auto axpy = kernels().nlu.axpy_i8;
  for (std::size_t i = 0; i < hashes.size(); ++i) {
    const std::int32_t row = hashes[i] == 0 ? -1 : index_.row(hashes[i]);
    if (row >= 0)
      axpy(scales_[row], codes_.row(row), out + static_cast<std::int64_t>(i / kTokenFeatures) * width(), width());
  }
}

std::vector<TaggedSpan> decode_bio(MatrixView<const float> emissions) {
  const std::int64_t steps = emissions.rows, tags = emissions.cols;
  require(tags % 2 == 1, "emissions: expected an odd number of tags: outside, and two of each slot");
  std::vector<TaggedSpan> spans;
  if (steps == 0) return spans;
  constexpr float kNever = -std::numeric_limits<float>::infinity();
  std::vector<float> best(static_cast<std::size_t>(tags));
  // Where a path came from: for every step the best tag before, which O and the beginnings follow, and for every slot
  // whether its continuation follows its beginning or itself.
  std::vector<std::int32_t> before(static_cast<std::size_t>(steps));
  std::vector<std::uint8_t> continued(static_cast<std::size_t>(steps * (tags / 2)));
  for (std::int64_t k = 0; k < tags; ++k)
    best[static_cast<std::size_t>(k)] = k > 0 && k % 2 == 0 ? kNever : emissions.row(0)[k];
  const auto largest = [&] { return std::max_element(best.begin(), best.end()) - best.begin(); };
  for (std::int64_t t = 1; t < steps; ++t) {
    const float* e = emissions.row(t);
    const auto top = largest();
    const float base = best[static_cast<std::size_t>(top)];
    before[static_cast<std::size_t>(t)] = static_cast<std::int32_t>(top);
    std::uint8_t* inside = continued.data() + t * (tags / 2);
    for (std::int64_t k = 1; k < tags; k += 2) {
      float &begins = best[static_cast<std::size_t>(k)], &goes_on = best[static_cast<std::size_t>(k + 1)];
      inside[k / 2] = goes_on > begins;
      goes_on = std::max(begins, goes_on) + e[k + 1];
      begins = base + e[k];
    }
    best[0] = base + e[0];
  }
  std::vector<std::int32_t> path(static_cast<std::size_t>(steps));
  std::int64_t tag = largest();
  for (std::int64_t t = steps - 1; t >= 0; --t) {
    path[static_cast<std::size_t>(t)] = static_cast<std::int32_t>(tag);
    if (tag > 0 && tag % 2 == 0)
      tag -= continued[static_cast<std::size_t>(t * (tags / 2) + tag / 2 - 1)] ? 0 : 1;
    else
      tag = before[static_cast<std::size_t>(t)];
  }
  for (std::int64_t t = 0; t < steps; ++t) {
    const std::int32_t k = path[static_cast<std::size_t>(t)];
    if (k == 0) continue;
    const float e = emissions.row(t)[k];
    if (k % 2 == 1)
      spans.push_back({k / 2, static_cast<std::int32_t>(t), static_cast<std::int32_t>(t + 1), e});
    else
      spans.back().end = static_cast<std::int32_t>(t + 1),
      spans.back().log_chance = std::min(spans.back().log_chance, e);
  }
  return spans;
}

}  // namespace ecocore
