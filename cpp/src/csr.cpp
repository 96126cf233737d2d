#include "ecocore/csr.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <numeric>

#include "ecocore/error.hpp"

namespace ecocore {
namespace {

constexpr std::int64_t kRowGrain = 4096;
constexpr std::int64_t kMaxIndex = std::numeric_limits<std::int32_t>::max();

std::string at_row(const std::string& name, std::int64_t row) {
  return name + ": row " + std::to_string(row);
}

}  // namespace

bool check_csr(const CsrView& m, const std::string& name, int threads) {
  require(m.cols >= 0 && m.cols <= kMaxIndex,
          name + ": expected 0 to 2147483647 columns, got " + std::to_string(m.cols));
  const std::int64_t nnz = m.nnz();
  for (std::int64_t r = 0; r < m.rows; ++r) {
    if (m.indptr[r] < 0 || m.indptr[r] > m.indptr[r + 1] || m.indptr[r + 1] > nnz)
      throw InvalidArgument(at_row(name, r) + ": indptr must rise from 0 to the number of entries (" +
                            std::to_string(nnz) + "), got " + std::to_string(m.indptr[r]) + " then " +
                            std::to_string(m.indptr[r + 1]) +
                            "; rebuild the matrix, e.g. with scipy.sparse.csr_matrix");
  }
  std::atomic<bool> sorted{true};
  parallel_for(0, m.rows, kRowGrain, threads, [&](std::int64_t b, std::int64_t e, int) {
    bool rising = true;
    for (std::int64_t r = b; r < e; ++r) {
      bool row_rises = true;
      for (std::int64_t j = m.begin(r); j < m.end(r); ++j) {
        const std::int32_t col = m.indices[j];
        if (col < 0 || col >= m.cols)
          throw InvalidArgument(at_row(name, r) + " has column index " + std::to_string(col) + ", expected 0 to " +
                                std::to_string(m.cols - 1) +
                                "; map the ids to that range, or give the matrix its true number of columns");
        if (m.data && !std::isfinite(m.data[j]))
          throw InvalidArgument(at_row(name, r) + ", column " + std::to_string(col) +
                                ": expected a finite value, got " + std::to_string(m.data[j]) +
                                "; drop or replace such entries first");
        if (j > m.begin(r) && col < m.indices[j - 1]) row_rises = false;
      }
      if (!row_rises) {
        rising = false;
        continue;
      }
      for (std::int64_t j = m.begin(r) + 1; j < m.end(r); ++j)
        if (m.indices[j] == m.indices[j - 1])
          throw InvalidArgument(at_row(name, r) + " names column " + std::to_string(m.indices[j]) +
                                " twice; add them up first, e.g. with matrix.sum_duplicates()");
    }
    if (!rising) sorted.store(false, std::memory_order_relaxed);
  });
  return sorted.load();
}

OwnedCsr sort_rows(const CsrView& m, int threads) {
  OwnedCsr out;
  out.indptr.assign(m.indptr, m.indptr + m.rows + 1);
  out.indices.resize(static_cast<std::size_t>(m.nnz()));
  if (m.data) out.data.resize(out.indices.size());
  parallel_for(0, m.rows, kRowGrain, threads, [&](std::int64_t b, std::int64_t e, int) {
    std::vector<std::int64_t> order;
    for (std::int64_t r = b; r < e; ++r) {
      order.resize(static_cast<std::size_t>(m.row_size(r)));
      std::iota(order.begin(), order.end(), m.begin(r));
      std::sort(order.begin(), order.end(), [&](auto x, auto y) { return m.indices[x] < m.indices[y]; });
      std::int64_t to = m.begin(r);
      for (std::int64_t from : order) {
        out.indices[static_cast<std::size_t>(to)] = m.indices[from];
        if (m.data) out.data[static_cast<std::size_t>(to)] = m.data[from];
        ++to;
      }
    }
  });
  return out;
}

OwnedCsr transpose(const CsrView& m, int threads) {
  // Rows are cut into one part per thread; each part counts its columns, the counts become every part's write
  // positions, and the parts scatter side by side. Entries land in row order whatever the number of parts.
  require(m.rows <= kMaxIndex,
          "transpose: expected at most 2147483647 rows, which become column indices; got " + std::to_string(m.rows));
  const std::int64_t nnz = m.nnz();
  const std::int64_t parts =
      std::clamp<std::int64_t>(std::min<std::int64_t>(num_threads(threads), nnz / (m.cols + 1)), 1, 16);
  std::vector<std::int64_t> bounds(static_cast<std::size_t>(parts) + 1);
  for (std::int64_t p = 0; p <= parts; ++p)
    bounds[static_cast<std::size_t>(p)] = std::lower_bound(m.indptr, m.indptr + m.rows, nnz * p / parts) - m.indptr;
  bounds.back() = m.rows;

  std::vector<std::vector<std::int64_t>> position(static_cast<std::size_t>(parts));
  parallel_for(0, parts, 1, threads, [&](std::int64_t p, std::int64_t, int) {
    auto& count = position[static_cast<std::size_t>(p)];
    count.assign(static_cast<std::size_t>(m.cols), 0);
    const std::int64_t first = m.indptr[bounds[static_cast<std::size_t>(p)]];
    const std::int64_t last = m.indptr[bounds[static_cast<std::size_t>(p) + 1]];
    for (std::int64_t j = first; j < last; ++j) ++count[static_cast<std::size_t>(m.indices[j])];
  });

  OwnedCsr out;
  out.indptr.resize(static_cast<std::size_t>(m.cols) + 1);
  std::int64_t total = 0;
  for (std::size_t c = 0; c < static_cast<std::size_t>(m.cols); ++c) {
    out.indptr[c] = total;
    for (auto& count : position) {
      const std::int64_t n = count[c];
      count[c] = total;
      total += n;
    }
  }
  out.indptr.back() = total;
  out.indices.resize(static_cast<std::size_t>(nnz));
  if (m.data) out.data.resize(static_cast<std::size_t>(nnz));

  parallel_for(0, parts, 1, threads, [&](std::int64_t p, std::int64_t, int) {
    auto& next = position[static_cast<std::size_t>(p)];
    for (std::int64_t r = bounds[static_cast<std::size_t>(p)]; r < bounds[static_cast<std::size_t>(p) + 1]; ++r)
      for (std::int64_t j = m.begin(r); j < m.end(r); ++j) {
        const auto to = static_cast<std::size_t>(next[static_cast<std::size_t>(m.indices[j])]++);
        out.indices[to] = static_cast<std::int32_t>(r);
        if (m.data) out.data[to] = m.data[j];
      }
  });
  return out;
}

}  // namespace ecocore
