#include "ecocore/tagger.hpp"

#include <algorithm>
#include <limits>
#include <string>

#include "ecocore/error.hpp"

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

std::vector<std::int32_t> viterbi(MatrixView<const float> emissions, MatrixView<const float> transitions,
                                  const float* start, const float* end) {
  const std::int64_t steps = emissions.rows, tags = emissions.cols;
  require(transitions.rows == tags && transitions.cols == tags,
          "transitions: expected a row and a column for each tag");
  std::vector<std::int32_t> path(static_cast<std::size_t>(steps));
  if (steps == 0) return path;
  require(tags > 0, "emissions: expected at least one tag");
  std::vector<float> best(static_cast<std::size_t>(tags)), next(best);
  std::vector<std::int32_t> from(static_cast<std::size_t>(steps * tags), 0);
  for (std::int64_t k = 0; k < tags; ++k) best[static_cast<std::size_t>(k)] = start[k] + emissions.row(0)[k];
  for (std::int64_t t = 1; t < steps; ++t) {
    std::int32_t* origin = from.data() + t * tags;
    std::fill(next.begin(), next.end(), -std::numeric_limits<float>::infinity());
    for (std::int64_t a = 0; a < tags; ++a) {
      const float base = best[static_cast<std::size_t>(a)];
      const float* row = transitions.row(a);
      for (std::int64_t b = 0; b < tags; ++b) {
        const float score = base + row[b];
        const bool better = score > next[static_cast<std::size_t>(b)];
        next[static_cast<std::size_t>(b)] = better ? score : next[static_cast<std::size_t>(b)];
        origin[b] = better ? static_cast<std::int32_t>(a) : origin[b];
      }
    }
    for (std::int64_t k = 0; k < tags; ++k) next[static_cast<std::size_t>(k)] += emissions.row(t)[k];
    std::swap(best, next);
  }
  std::int64_t tag = 0;
  for (std::int64_t k = 1; k < tags; ++k)
    if (best[static_cast<std::size_t>(k)] + end[k] > best[static_cast<std::size_t>(tag)] + end[tag]) tag = k;
  for (std::int64_t t = steps - 1; t >= 0; --t) {
    path[static_cast<std::size_t>(t)] = static_cast<std::int32_t>(tag);
    tag = from[static_cast<std::size_t>(t * tags + tag)];
  }
  return path;
}

}  // namespace ecocore
