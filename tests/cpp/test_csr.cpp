#include "ecocore/csr.hpp"

#include <cmath>
#include <limits>
#include <random>
#include <tuple>

#include "check.hpp"
#include "ecocore/error.hpp"

using ecocore::CsrView;
using ecocore::OwnedCsr;

namespace {

CsrView view(const OwnedCsr& m, std::int64_t cols, bool pattern = false) {
  return {static_cast<std::int64_t>(m.indptr.size()) - 1, cols, m.indptr.data(), m.indices.data(),
          pattern ? nullptr : m.data.data()};
}

// Every column is in a row with the given chance; rows rise.
OwnedCsr random_csr(std::mt19937& rng, int rows, int cols, double density) {
  OwnedCsr m;
  m.indptr.push_back(0);
  std::bernoulli_distribution present(density);
  for (int r = 0; r < rows; ++r) {
    for (int c = 0; c < cols; ++c)
      if (present(rng)) {
        m.indices.push_back(c);
        m.data.push_back(static_cast<float>(r * 1000 + c));
      }
    m.indptr.push_back(static_cast<std::int64_t>(m.indices.size()));
  }
  return m;
}

void shuffle_rows(std::mt19937& rng, OwnedCsr& m) {
  for (std::size_t r = 0; r + 1 < m.indptr.size(); ++r)
    for (auto i = m.indptr[r + 1] - 1; i > m.indptr[r]; --i) {
      const auto j = std::uniform_int_distribution<std::int64_t>(m.indptr[r], i)(rng);
      std::swap(m.indices[static_cast<std::size_t>(i)], m.indices[static_cast<std::size_t>(j)]);
      std::swap(m.data[static_cast<std::size_t>(i)], m.data[static_cast<std::size_t>(j)]);
    }
}

bool same(const OwnedCsr& a, const OwnedCsr& b) {
  return std::tie(a.indptr, a.indices, a.data) == std::tie(b.indptr, b.indices, b.data);
}

}  // namespace

TEST(csr_sort_restores_shuffled_rows) {
  std::mt19937 rng(1);
  for (int threads : {1, 4}) {
    const OwnedCsr m = random_csr(rng, 9000, 6, 0.5);
    OwnedCsr shuffled = m;
    shuffle_rows(rng, shuffled);
    CHECK(check_csr(view(m, 6), "m", threads));
    CHECK(!check_csr(view(shuffled, 6), "m", threads));
    CHECK(same(sort_rows(view(shuffled, 6), threads), m));
  }
}

TEST(csr_transpose_is_the_same_for_any_thread_count_and_its_own_inverse) {
  std::mt19937 rng(2);
  for (auto [rows, cols, density] :
       {std::tuple{0, 5, 0.5}, {5, 0, 0.5}, {1, 1, 1.0}, {300, 4, 0.4}, {3, 200, 0.1}, {5000, 3, 0.9}, {50, 50, 0.0}}) {
    const OwnedCsr m = random_csr(rng, rows, cols, density);
    const OwnedCsr t = transpose(view(m, cols), 1);
    CHECK(static_cast<int>(t.indptr.size()) == cols + 1);
    CHECK(check_csr(view(t, rows), "t", 2));
    for (int threads : {2, 5, 16}) CHECK(same(transpose(view(m, cols), threads), t));
    CHECK(same(transpose(view(t, rows), 3), m));
    const OwnedCsr pattern = transpose(view(m, cols, true), 3);
    CHECK(pattern.indices == t.indices && pattern.data.empty());
  }
}

TEST(csr_check_names_row_and_value) {
  const auto check = [](std::vector<std::int64_t> indptr, std::vector<std::int32_t> indices, std::vector<float> data,
                        std::int64_t cols = 4) {
    return check_csr(view({std::move(indptr), std::move(indices), std::move(data)}, cols), "m", 2);
  };
  using ecocore::InvalidArgument;
  CHECK(check({0, 2, 3}, {0, 3, 1}, {1, 2, 3}));
  CHECK(!check({0, 2, 3}, {3, 0, 1}, {1, 2, 3}));
  CHECK_THROWS(InvalidArgument, "m: row 1 has column index 4, expected 0 to 3", check({0, 2, 3}, {0, 3, 4}, {1, 2, 3}));
  CHECK_THROWS(InvalidArgument, "m: row 0 has column index -1", check({0, 2, 3}, {-1, 3, 1}, {1, 2, 3}));
  CHECK_THROWS(InvalidArgument, "row 0 names column 3 twice", check({0, 2, 3}, {3, 3, 1}, {1, 2, 3}));
  CHECK_THROWS(InvalidArgument, "row 1, column 1: expected a finite value", check({0, 2, 3}, {0, 3, 1}, {1, 2, NAN}));
  CHECK_THROWS(InvalidArgument, "row 0: indptr must rise", check({0, 4, 3}, {0, 3, 1}, {1, 2, 3}));
  CHECK_THROWS(InvalidArgument, "row 1: indptr must rise", check({0, 2, 1, 3}, {0, 3, 1}, {1, 2, 3}));
  CHECK_THROWS(InvalidArgument, "columns", check({0, 0}, {}, {}, -1));
  CHECK_THROWS(InvalidArgument, "columns", check({0, 0}, {}, {}, std::int64_t{1} << 31));
}

// Whatever indptr, indices and values hold (its ends apart, which the border compares with the arrays' lengths): the
// check throws, or every operation stays inside the arrays, which AddressSanitizer watches.
TEST(csr_survives_mutation) {
  std::mt19937 rng(3);
  const auto pick = [&](std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(rng);
  };
  const std::vector<std::int64_t> extremes = {std::numeric_limits<std::int64_t>::min(),
                                              std::numeric_limits<std::int64_t>::max(),
                                              std::numeric_limits<std::int32_t>::min(),
                                              std::numeric_limits<std::int32_t>::max(),
                                              -1,
                                              0,
                                              1,
                                              8};
  const auto value = [&] { return pick(0, 2) ? pick(-2, 30) : extremes[static_cast<std::size_t>(pick(0, 7))]; };
  int passed = 0, refused = 0;
  for (int round = 0; round < 20000; ++round) {
    const int rows = static_cast<int>(pick(0, 12)), cols = static_cast<int>(pick(0, 8));
    OwnedCsr m = random_csr(rng, rows, cols, 0.4);
    if (pick(0, 1)) shuffle_rows(rng, m);
    for (std::int64_t n = pick(0, 2); n > 0; --n) {
      if (rows > 1 && pick(0, 2) == 0) m.indptr[static_cast<std::size_t>(pick(1, rows - 1))] = value();
      if (m.indices.empty()) continue;
      const auto at = static_cast<std::size_t>(pick(0, static_cast<std::int64_t>(m.indices.size()) - 1));
      if (pick(0, 1)) m.indices[at] = static_cast<std::int32_t>(value());
      if (pick(0, 8) == 0) m.data[at] = pick(0, 1) ? NAN : INFINITY;
    }
    try {
      const bool sorted = check_csr(view(m, cols), "m", 2);
      if (!sorted) {
        m = sort_rows(view(m, cols), 2);
        CHECK(check_csr(view(m, cols), "m", 2));
      }
      CHECK(same(transpose(view(transpose(view(m, cols), 2), rows), 3), m));
      ++passed;
    } catch (const ecocore::InvalidArgument&) {
      ++refused;
    }
  }
  CHECK(passed > 1000 && refused > 1000);
}
