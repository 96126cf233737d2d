// Many fixed phrases found in one pass: an Aho-Corasick automaton over normalised text.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ecocore/text.hpp"

namespace ecocore {

struct PhraseMatch {
  std::int32_t begin, end;  // in NormalizedText::chars
  std::int32_t phrase;      // position in the list
};

class PhraseMatcher {
 public:
  // Phrases are normalised here; empty ones match nothing, of equal ones the first is reported.
  explicit PhraseMatcher(const std::vector<std::u32string>& phrases);

  std::int64_t size() const { return phrases_; }

  // Matches that begin and end at the borders of words, leftmost first, the longest of those, none overlapping.
  std::vector<PhraseMatch> find(const NormalizedText& text) const;

 private:
  struct Node {
    std::int32_t first_edge = 0, edges = 0;
    std::int32_t fail = 0;
    std::int32_t phrase = -1;
    std::int32_t length = 0;    // of the phrase
    std::int32_t shorter = -1;  // next node along the failures that ends a phrase
  };
  struct Edge {
    char32_t c;
    std::int32_t to;
  };
  std::int32_t step(std::int32_t node, char32_t c) const;  // -1: no edge

  std::int64_t phrases_ = 0;
  std::vector<Node> nodes_;
  std::vector<Edge> edges_;  // of a node side by side, c rising
};

}  // namespace ecocore
