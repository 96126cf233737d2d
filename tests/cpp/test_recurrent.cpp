#include "ecocore/recurrent.hpp"

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "check.hpp"
#include "ecocore/parallel.hpp"

using namespace ecocore;

// Scratch memory is sized by the number of threads, which may change at any moment. (Too short it is written past its
// end: the address sanitizer sees it, and mostly the allocator does.)
TEST(recurrent_advance_while_the_number_of_threads_changes) {
  const std::vector<float> w{0.5f}, r{0.25f}, table{0.125f, 1.0f, -1.0f};
  NumberView embedding;
  embedding.data = table.data();
  embedding.rows = 3;
  embedding.cols = 1;
  const RecurrentNet net(Cell::kRnn, {LayerWeights{{w.data(), 1, 1}, {r.data(), 1, 1}, nullptr}},
                         {EventTable{embedding, 0}}, LinearWeights{}, 1 << 20, 1);
  constexpr std::int64_t kRows = 700;  // nine blocks
  std::vector<std::int64_t> indptr(kRows + 1);
  std::vector<std::int32_t> ids(kRows);
  for (std::size_t i = 0; i <= kRows; ++i) indptr[i] = static_cast<std::int64_t>(i);
  for (std::size_t i = 0; i < kRows; ++i) ids[i] = static_cast<std::int32_t>(i % 3);
  const Events events{kRows, indptr.data(), {ids.data()}};
  std::vector<float> expected(kRows, 0.0f);
  net.advance(events, expected.data(), nullptr, 1);

  std::atomic<bool> stop{false};
  std::thread changes([&] {
    while (!stop)
      for (const int n : {1, 8}) set_num_threads(n);
  });
  bool same = true;
  for (int round = 0; round < 3000; ++round) {
    std::vector<float> h(kRows, 0.0f);
    net.advance(events, h.data(), nullptr, 0);
    same = same && h == expected;
  }
  stop = true;
  changes.join();
  set_num_threads(0);
  CHECK(same);
}
