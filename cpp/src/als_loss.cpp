// The value of the objective, in float64: the pairs that were observed one by one, all pairs at once through
// sum_all s^2 = <X^T X, Y^T Y>.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "als_scratch.hpp"
#include "ecocore/als.hpp"
#include "kernels/table.hpp"

namespace ecocore {
namespace {

constexpr std::int64_t kRowGrain = 256;
constexpr std::int64_t kTileRows = 32;

// The sum of f(row) over all rows, added in the same order for any thread count.
template <class MakeWorker>
double sum_over_rows(std::int64_t rows, int threads, const Poll& poll, MakeWorker&& make_worker) {
  std::vector<double> parts(static_cast<std::size_t>((rows + kRowGrain - 1) / kRowGrain), 0.0);
  parallel_for(
      0, rows, kRowGrain, threads,
      [&](std::int64_t begin, std::int64_t end, int) {
        auto row_value = make_worker();
        double sum = 0.0;
        for (std::int64_t row = begin; row < end; ++row) sum += row_value(row);
        parts[static_cast<std::size_t>(begin / kRowGrain)] = sum;
      },
      poll);
  return std::accumulate(parts.begin(), parts.end(), 0.0);
}

}  // namespace

double als_data_loss(const CsrView& interactions, const MatrixView<const float>& user_factors,
                     const MatrixView<const float>& item_factors, const double* user_gram, const double* item_gram,
                     const AlsWeights& weights, int threads, const Poll& poll) {
  const std::int64_t f = item_factors.cols, ld = als_padded(f);
  const AlsKernels& k = kernels().als;
  const double observed = sum_over_rows(interactions.rows, threads, poll, [&] {
    return [&, tile = AlignedBuffer<float>(kTileRows * ld), x = AlignedBuffer<double>(ld),
            scores = AlignedBuffer<double>(kTileRows)](std::int64_t row) mutable {
      x.clear();
      std::copy_n(user_factors.row(row), f, x.data());
      const std::int64_t begin = interactions.begin(row), size = interactions.row_size(row);
      double sum = 0.0;
      for (std::int64_t first = 0; first < size; first += kTileRows) {
        const std::int64_t n = std::min(kTileRows, size - first);
        k.gather(item_factors.data, f, interactions.indices + begin + first, n, size - first, tile.data(), ld);
        k.dots64(tile.data(), ld, n, x.data(), scores.data());
        for (std::int64_t j = 0; j < n; ++j) {
          const float value = interactions.data ? interactions.data[begin + first + j] : 1.0f;
          const double c = static_cast<double>(weights.alpha) * std::abs(static_cast<double>(value));
          const double miss = (value > 0.0f ? 1.0 : 0.0) - scores[j];
          sum += c * miss * miss + static_cast<double>(weights.weight_offset) * scores[j] * scores[j];
        }
      }
      return sum;
    };
  });
  return observed +
         static_cast<double>(weights.gram_weight) * std::inner_product(user_gram, user_gram + f * f, item_gram, 0.0);
}

double als_penalty(const MatrixView<const float>& factors, const float* regularization,
                   const MatrixView<const float>& prior, int threads) {
  return sum_over_rows(factors.rows, threads, {}, [&] {
    return [&](std::int64_t row) {
      const float* x = factors.row(row);
      double sum = 0.0;
      for (std::int64_t i = 0; i < factors.cols; ++i) {
        const double d = static_cast<double>(x[i]) - (prior.data ? static_cast<double>(prior.row(row)[i]) : 0.0);
        sum += d * d;
      }
      return static_cast<double>(regularization[row]) * sum;
    };
  });
}

}  // namespace ecocore
