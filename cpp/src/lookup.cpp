#include "ecocore/lookup.hpp"

#include <algorithm>

#include "ecocore/error.hpp"

namespace ecocore {

PhraseMatcher::PhraseMatcher(const std::vector<std::u32string>& phrases)
    : phrases_(static_cast<std::int64_t>(phrases.size())) {
  struct Key {
    std::u32string chars;
    std::int32_t phrase;
  };
  std::vector<Key> keys;
  std::size_t total = 0;
  for (std::size_t i = 0; i < phrases.size(); ++i) {
    NormalizedText text = normalize(phrases[i]);
    if (text.chars.empty()) continue;
    total += text.chars.size();
    keys.push_back({std::move(text.chars), static_cast<std::int32_t>(i)});
  }
  require(total < (std::size_t{1} << 30), "values: expected fewer than 2^30 characters in one lookup list");
  std::stable_sort(keys.begin(), keys.end(), [](const Key& a, const Key& b) { return a.chars < b.chars; });

  // Level by level: a node is a range of sorted keys that share their first `depth` characters, so its edges come out
  // side by side and rising.
  struct Range {
    std::int32_t node;
    std::size_t from, to;
  };
  nodes_.emplace_back();
  std::vector<Range> level{{0, 0, keys.size()}};
  for (std::size_t depth = 0; !level.empty(); ++depth) {
    std::vector<Range> next;
    for (const Range& r : level) {
      std::size_t i = r.from;
      for (; i < r.to && keys[i].chars.size() == depth; ++i)
        if (nodes_[static_cast<std::size_t>(r.node)].phrase < 0) {
          nodes_[static_cast<std::size_t>(r.node)].phrase = keys[i].phrase;
          nodes_[static_cast<std::size_t>(r.node)].length = static_cast<std::int32_t>(depth);
        }
      nodes_[static_cast<std::size_t>(r.node)].first_edge = static_cast<std::int32_t>(edges_.size());
      while (i < r.to) {
        const char32_t c = keys[i].chars[depth];
        std::size_t end = i;
        while (end < r.to && keys[end].chars[depth] == c) ++end;
        const auto child = static_cast<std::int32_t>(nodes_.size());
        edges_.push_back({c, child});
        nodes_.emplace_back();
        next.push_back({child, i, end});
        i = end;
      }
      Node& node = nodes_[static_cast<std::size_t>(r.node)];
      node.edges = static_cast<std::int32_t>(edges_.size()) - node.first_edge;
    }
    level = std::move(next);
  }
  // Nodes were numbered level by level, so every failure points to a node that is already complete.
  for (std::int32_t n = 0; n < static_cast<std::int32_t>(nodes_.size()); ++n) {
    const Node parent = nodes_[static_cast<std::size_t>(n)];
    for (std::int32_t e = parent.first_edge; e < parent.first_edge + parent.edges; ++e) {
      const Edge edge = edges_[static_cast<std::size_t>(e)];
      std::int32_t fail = 0;
      if (n != 0) {
        for (std::int32_t f = parent.fail;; f = nodes_[static_cast<std::size_t>(f)].fail) {
          const std::int32_t to = step(f, edge.c);
          if (to >= 0) fail = to;
          if (to >= 0 || f == 0) break;
        }
      }
      Node& child = nodes_[static_cast<std::size_t>(edge.to)];
      child.fail = fail;
      const Node& f = nodes_[static_cast<std::size_t>(fail)];
      child.shorter = f.phrase >= 0 ? fail : f.shorter;
    }
  }
}

std::int32_t PhraseMatcher::step(std::int32_t node, char32_t c) const {
  const Node& n = nodes_[static_cast<std::size_t>(node)];
  const auto first = edges_.begin() + n.first_edge, last = first + n.edges;
  const auto at = std::lower_bound(first, last, c, [](const Edge& e, char32_t x) { return e.c < x; });
  return at != last && at->c == c ? at->to : -1;
}

std::vector<PhraseMatch> PhraseMatcher::find(const NormalizedText& text) const {
  std::vector<PhraseMatch> found;
  if (nodes_.size() <= 1) return found;
  const std::int32_t size = text.size();
  // No border where two letters, or two digits, touch.
  const auto border = [&](std::int32_t i) {
    if (i <= 0 || i >= size) return true;
    const CharClass a = char_class(text.chars[static_cast<std::size_t>(i - 1)]);
    return a != char_class(text.chars[static_cast<std::size_t>(i)]) ||
           (a != CharClass::kLetter && a != CharClass::kDigit);
  };
  std::int32_t node = 0;
  for (std::int32_t i = 0; i < size; ++i) {
    const char32_t c = text.chars[static_cast<std::size_t>(i)];
    std::int32_t to = step(node, c);
    while (to < 0 && node != 0) {
      node = nodes_[static_cast<std::size_t>(node)].fail;
      to = step(node, c);
    }
    node = to < 0 ? 0 : to;
    const Node& here = nodes_[static_cast<std::size_t>(node)];
    for (std::int32_t n = here.phrase >= 0 ? node : here.shorter; n >= 0;
         n = nodes_[static_cast<std::size_t>(n)].shorter) {
      const Node& match = nodes_[static_cast<std::size_t>(n)];
      if (border(i + 1 - match.length) && border(i + 1)) found.push_back({i + 1 - match.length, i + 1, match.phrase});
    }
  }
  std::sort(found.begin(), found.end(), [](const PhraseMatch& a, const PhraseMatch& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end > b.end;
  });
  std::vector<PhraseMatch> kept;
  for (const PhraseMatch& m : found)
    if (kept.empty() || m.begin >= kept.back().end) kept.push_back(m);
  return kept;
}

}  // namespace ecocore
