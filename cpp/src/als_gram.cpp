// Y^T Y: float32 within a block of rows, float64 across blocks.
#include <algorithm>
#include <vector>

#include "als_scratch.hpp"
#include "ecocore/als.hpp"
#include "kernels/table.hpp"

namespace ecocore {
namespace {

// Few enough rows that their float32 sum keeps seven digits, enough that adding it to the float64 sum costs little.
constexpr std::int64_t kBlockRows = 64;
// Partial sums are held until all are there and are added in order; a fixed number of them whatever the threads.
constexpr std::int64_t kMaxParts = 32;

}  // namespace

void als_gram(const MatrixView<const float>& factors, double* out, int threads) {
  const std::int64_t f = factors.cols, ld = als_padded(f);
  const AlsKernels& k = kernels().als;
  const std::int64_t blocks = (factors.rows + kBlockRows - 1) / kBlockRows;
  const std::int64_t parts = std::clamp<std::int64_t>(blocks / 4, 1, kMaxParts);
  std::vector<double> partial(static_cast<std::size_t>(parts * f * f), 0.0);

  parallel_for(0, parts, 1, threads, [&](std::int64_t part, std::int64_t, int) {
    double* sum = partial.data() + part * f * f;
    AlignedBuffer<float> rows(kBlockRows * ld), block(ld * ld);
    rows.clear();
    for (std::int64_t b = blocks * part / parts; b < blocks * (part + 1) / parts; ++b) {
      const std::int64_t first = b * kBlockRows, n = std::min(kBlockRows, factors.rows - first);
      for (std::int64_t j = 0; j < n; ++j) std::copy_n(factors.row(first + j), f, rows.data() + j * ld);
      block.clear();
      k.syrk(rows.data(), rows.data(), ld, n, ld, block.data());
      for (std::int64_t i = 0; i < f; ++i)
        for (std::int64_t c = i; c < f; ++c) sum[i * f + c] += static_cast<double>(block[i * ld + c]);
    }
  });

  for (std::int64_t i = 0; i < f; ++i)
    for (std::int64_t c = i; c < f; ++c) {
      double sum = 0.0;
      for (std::int64_t part = 0; part < parts; ++part)
        sum += partial[static_cast<std::size_t>((part * f + i) * f + c)];
      out[i * f + c] = out[c * f + i] = sum;
    }
}

}  // namespace ecocore
