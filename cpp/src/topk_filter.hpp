// The items that one query may return.
#pragma once

#include <cstdint>
#include <optional>

#include "ecocore/topk.hpp"

namespace ecocore::topk {

class RowFilter {
 public:
  RowFilter(const TopKFilter& f, std::int64_t query)
      : allow_(f.allow), deny_(f.deny), candidates_(row(f.candidates, query)), exclude_(row(f.exclude, query)) {}

  bool passes(std::int32_t id) const {
    return (!allow_ || allow_->contains(id)) && (!candidates_ || candidates_->contains(id)) &&
           (!deny_ || !deny_->contains(id)) && (!exclude_ || !exclude_->contains(id));
  }

  // Calls f(id) for every item that passes, where possible without looking at the others.
  template <class F>
  void for_each(std::int64_t items, const F& f) const {
    const auto visit = [&](std::int32_t id) {
      if (passes(id)) f(id);
    };
    if (candidates_) {
      for (std::int64_t i = 0; i < candidates_->count; ++i) visit(candidates_->ids[i]);
    } else if (allow_ && !allow_->mask) {
      for (std::int64_t i = 0; i < allow_->count; ++i) visit(allow_->ids[i]);
    } else {
      for (std::int64_t id = 0; id < items; ++id) visit(static_cast<std::int32_t>(id));
    }
  }

 private:
  static std::optional<ItemSet> row(const std::optional<CsrView>& m, std::int64_t r) {
    if (!m) return {};
    return ItemSet{nullptr, m->indices + m->begin(r), m->row_size(r)};
  }

  std::optional<ItemSet> allow_, deny_, candidates_, exclude_;
};

}  // namespace ecocore::topk
