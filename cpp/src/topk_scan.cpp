#include "topk_scan.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace ecocore::topk {
namespace {

constexpr std::int64_t kTile = 8;  // groups; 256 items of 128 dimensions are 33 KB, at home in L2
constexpr int kMaxWidth = 8;       // of any ISA

// A value that at least k of `values` reach, and not many more. By bisection: counting has no branches to mispredict,
// and an exact selection would be several times slower. k is at most the number of values.
float reached_by(std::size_t k, const std::vector<float>& values) {
  float low = values[0], high = values[0];
  for (float v : values) {
    low = std::min(low, v);
    high = std::max(high, v);
  }
  for (int step = 0; step < 40; ++step) {
    const float middle = low + (high - low) / 2;
    if (!(middle > low && middle < high)) break;
    std::int32_t reached = 0;
    for (float v : values) reached += v >= middle;
    const auto n = static_cast<std::size_t>(reached);
    (n >= k ? low : high) = middle;
    if (n >= k && n <= k + k / 16) break;
  }
  return low;
}

}  // namespace

void Survivors::add(const TopKSurvivor* found, std::int64_t count, Scorer& scorer) {
  for (std::int64_t i = 0; i < count; ++i) {
    const auto [score, position] = found[i];
    const float bound = items_.bound(codes_.query, position);
    if (score + bound < codes_.query.threshold) continue;  // it rose since
    const std::int32_t id = items_.id(position);
    if (id < 0 || !filter_.passes(id)) continue;
    pending_.push_back({score - bound, score + bound, id});
    if (pending_.size() < capacity_) continue;
    drop();
    if (pending_.size() > capacity_ / 4 * 3) score_all(scorer);
  }
}

void Survivors::raise_threshold(float reached) {
  const double r = static_cast<double>(reached);
  codes_.query.threshold = std::max(codes_.query.threshold, round_down(r - std::fabs(r) * kSlack));
}

void Survivors::drop() {
  if (pending_.size() < k_) return;
  lower_.clear();
  for (const Entry& e : pending_) lower_.push_back(e.lower);
  raise_threshold(reached_by(k_, lower_));
  std::size_t kept = 0;
  for (const Entry& e : pending_) {
    pending_[kept] = e;
    kept += e.upper >= codes_.query.threshold;
  }
  pending_.resize(kept);
}

void Survivors::score_all(Scorer& scorer) {
  scorer.set_query(query_);
  for (const Entry& e : pending_) scorer.add(e.id, best_);
  scorer.flush(best_);
  pending_.clear();
  raise_threshold(best_.threshold());
}

Selection& Survivors::finish(Scorer& scorer) {
  drop();
  score_all(scorer);
  return best_;
}

void scan(const ItemCodes& items, std::vector<Survivors*> queries, std::int64_t first, std::int64_t stride,
          Scorer& scorer) {
  const TopKKernels& kernel = kernels().topk;
  const std::int64_t tiles = (items.group_count() + kTile - 1) / kTile;
  std::vector<TopKSurvivor> found(static_cast<std::size_t>(kernel.scan_width * kTile * kTopKGroup));
  std::array<TopKSurvivor*, kMaxWidth> room;
  for (int q = 0; q < kernel.scan_width; ++q) room[static_cast<std::size_t>(q)] = found.data() + q * kTile * kTopKGroup;

  for (std::int64_t tile = first; tile < tiles && !queries.empty(); tile += stride) {
    const std::int64_t group = tile * kTile;
    std::erase_if(queries, [&](const Survivors* s) { return s->done_before(group); });
    const TopKGroups groups = items.groups(group, std::min(kTile, items.group_count() - group));
    for (std::size_t begin = 0; begin < queries.size(); begin += static_cast<std::size_t>(kernel.scan_width)) {
      const std::size_t width = std::min(queries.size() - begin, static_cast<std::size_t>(kernel.scan_width));
      std::array<const TopKQuery*, kMaxWidth> codes;
      std::array<std::int64_t, kMaxWidth> counts{};
      for (std::size_t q = 0; q < width; ++q) codes[q] = queries[begin + q]->query();
      kernel.scan(groups, codes.data(), static_cast<int>(width), room.data(), counts.data());
      for (std::size_t q = 0; q < width; ++q) queries[begin + q]->add(room[q], counts[q], scorer);
    }
  }
}

}  // namespace ecocore::topk
