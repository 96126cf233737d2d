#include "ecocore/ngrams.hpp"

#include <algorithm>

namespace ecocore {
namespace {

constexpr std::int32_t kExactDigits = 4;
constexpr int kShortest = 2, kLongest = 5;  // pieces of words
constexpr int kLongestRun = 4;              // pieces of runs of ideographs
constexpr std::int32_t kLongestWord = 40;   // of what is longer, only the first characters are cut into pieces

// Calls visit(group, bytes, begin, end) for every n-gram of a text.
template <class Visit>
class Walk {
 public:
  Walk(const NormalizedText& text, const std::vector<Token>& tokens, bool meanings, Visit visit)
      : text_(text), tokens_(tokens), meanings_(meanings), visit_(visit) {
    at_.reserve(text.chars.size() + 1);
    for (const char32_t c : text.chars) {
      at_.push_back(bytes_.size());
      append_utf8(c, bytes_);
    }
    at_.push_back(bytes_.size());
  }

  void run() {
    words();
    characters();
    if (meanings_) meanings();
  }

 private:
  std::string_view slice(std::int32_t begin, std::int32_t end) const {
    const std::size_t from = at_[static_cast<std::size_t>(begin)], to = at_[static_cast<std::size_t>(end)];
    return std::string_view(bytes_).substr(from, to - from);
  }

  static bool is_number_class(const Token& t) { return t.kind == CharClass::kDigit && t.end - t.begin > kExactDigits; }

  void append_word(const Token& t, std::string& out) const {
    if (is_number_class(t)) {
      out += '#';
      out += std::to_string(std::min(t.end - t.begin, 24));
    } else {
      out += slice(t.begin, t.end);
    }
  }

  void words() {
    std::string joined;
    const Token* before = nullptr;
    for (const Token& t : tokens_) {
      joined.clear();
      append_word(t, joined);
      visit_(kWords, std::string_view(joined), t.begin, t.end);
      if (t.kind == CharClass::kOther) continue;
      if (before) {
        joined.clear();
        append_word(*before, joined);
        joined += ' ';
        append_word(t, joined);
        visit_(kWords, std::string_view(joined), before->begin, t.end);
      }
      before = &t;
    }
  }

  void characters() {
    std::string padded;
    std::vector<std::size_t> at;
    for (std::size_t i = 0; i < tokens_.size(); ++i) {
      const Token& t = tokens_[i];
      if (t.kind == CharClass::kIdeograph) {
        pieces_of_run(kCharacters, t.begin, run_end(i), kShortest);
        continue;
      }
      if (t.kind == CharClass::kOther || is_number_class(t)) continue;
      const std::int32_t end = std::min(t.end, t.begin + kLongestWord);
      const int length = end - t.begin + 2;
      padded.assign(1, ' ');
      at.assign(1, 0);
      for (std::int32_t c = t.begin; c < end; ++c) {
        at.push_back(padded.size());
        padded += slice(c, c + 1);
      }
      at.push_back(padded.size());
      padded += ' ';
      at.push_back(padded.size());
      for (int n = kShortest; n <= kLongest; ++n)
        for (int first = 0; first + n <= length; ++first) {
          const std::size_t from = at[static_cast<std::size_t>(first)], to = at[static_cast<std::size_t>(first + n)];
          visit_(kCharacters, std::string_view(padded).substr(from, to - from), std::max(t.begin, t.begin + first - 1),
                 std::min(end, t.begin + first - 1 + n));
        }
    }
  }

  void meanings() {
    for (std::size_t i = 0; i < tokens_.size(); ++i) {
      const Token& t = tokens_[i];
      if (t.kind == CharClass::kLetter || (t.kind == CharClass::kDigit && !is_number_class(t)))
        visit_(kMeanings, slice(t.begin, t.end), t.begin, t.end);
      else if (t.kind == CharClass::kIdeograph)
        pieces_of_run(kMeanings, t.begin, run_end(i), 1);
    }
  }

  // Where the run of ideographs that token i belongs to ends, or a little further than any piece reaches.
  std::int32_t run_end(std::size_t i) const {
    std::int32_t end = tokens_[i].end;
    for (std::size_t k = i + 1; k < tokens_.size() && k < i + kLongestRun; ++k) {
      if (tokens_[k].kind != CharClass::kIdeograph || tokens_[k].begin != end) break;
      end = tokens_[k].end;
    }
    return end;
  }

  void pieces_of_run(NgramGroup group, std::int32_t begin, std::int32_t end, int shortest) {
    for (int n = shortest; n <= kLongestRun && begin + n <= end; ++n)
      visit_(group, slice(begin, begin + n), begin, begin + n);
  }

  const NormalizedText& text_;
  const std::vector<Token>& tokens_;
  bool meanings_;
  Visit visit_;
  std::string bytes_;
  std::vector<std::size_t> at_;
};

}  // namespace

void extract_ngrams(const NormalizedText& text, const std::vector<Token>& tokens, bool meanings,
                    std::vector<Ngram>& out) {
  out.clear();
  const auto visit = [&](NgramGroup group, std::string_view bytes, std::int32_t begin, std::int32_t end) {
    const std::uint32_t hash = murmur3_32(bytes.data(), bytes.size(), static_cast<std::uint32_t>(group));
    out.push_back({hash, static_cast<std::uint8_t>(group), begin, end});
  };
  Walk walk(text, tokens, meanings, visit);
  walk.run();
}

std::vector<std::string> ngram_strings(const NormalizedText& text, const std::vector<Token>& tokens, bool meanings) {
  std::vector<std::string> out;
  const auto visit = [&](NgramGroup, std::string_view bytes, std::int32_t, std::int32_t) { out.emplace_back(bytes); };
  Walk walk(text, tokens, meanings, visit);
  walk.run();
  return out;
}

}  // namespace ecocore
