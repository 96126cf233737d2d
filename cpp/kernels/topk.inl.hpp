// Kernels of exact top-k, written once against the vector types of the including ISA.
namespace ecocore::ECOCORE_ISA {

// Lanes are items: rows of several items are transposed in registers, block by block, so that every item's sum runs in
// index order. Products of two float32 are exact in float64, so it does not matter that they are rounded separately.
// Two independent sets of lanes hide the latency of the additions.
inline void topk_score(const double* query, const float* factors, std::int64_t dimensions, const std::int32_t* ids,
                       std::int64_t count, double* sums) {
  constexpr int L = F64::kLanes;
  const auto row = [&](std::int64_t j) { return factors + std::int64_t{ids[j]} * dimensions; };
  const std::int64_t whole = dimensions - dimensions % L;
  std::int64_t j = 0;
  for (; j + 2 * L <= count; j += 2 * L) {
    const float* x[2 * L];
    for (int l = 0; l < 2 * L; ++l) x[l] = row(j + l);
    for (std::int64_t next = j + 2 * L; next < j + 4 * L && next < count; ++next)
      for (std::int64_t i = 0; i < dimensions; i += 16) prefetch(row(next) + i);
    F64 sum0 = F64::zero(), sum1 = F64::zero();
    for (std::int64_t i = 0; i < whole; i += L) {
      const F64 q = F64::load(query + i);
      F64 p0[L], p1[L];
      for (int l = 0; l < L; ++l) {
        p0[l] = q * F64::widen(x[l] + i);
        p1[l] = q * F64::widen(x[L + l] + i);
      }
      F64::transpose(p0);
      F64::transpose(p1);
      for (int l = 0; l < L; ++l) {
        sum0 = sum0 + p0[l];
        sum1 = sum1 + p1[l];
      }
    }
    sum0.store(sums + j);
    sum1.store(sums + j + L);
    for (std::int64_t i = whole; i < dimensions; ++i)
      for (int l = 0; l < 2 * L; ++l) sums[j + l] += query[i] * static_cast<double>(x[l][i]);
  }
  for (; j < count; ++j) {
    const float* x = row(j);
    double sum = 0;
    for (std::int64_t i = 0; i < dimensions; ++i) sum += query[i] * static_cast<double>(x[i]);
    sums[j] = sum;
  }
}

// Q queries against all groups. Kept in registers: Q x 2 vectors of int32 sums, for each of U interleaved parts of the
// dimensions (a single query would otherwise wait for its own additions). Integers: any order gives the same sum.
template <int Q, int U>
inline void topk_scan_queries(const TopKGroups& groups, const TopKQuery* const* queries, TopKSurvivor* const* survivors,
                              std::int64_t* counts) {
  constexpr int L = I32::kLanes;
  const std::int64_t pairs = groups.dimensions / 2;
  const std::int16_t* query_codes[Q];
  F32 query_scale[Q];
  for (int q = 0; q < Q; ++q) {
    query_codes[q] = queries[q]->codes;
    query_scale[q] = F32::set1(queries[q]->scale);
  }

  for (std::int64_t g = 0; g < groups.count; ++g) {
    const std::int8_t* codes = groups.codes + g * kTopKGroup * groups.dimensions;
    float least[Q];  // what a score must reach
    for (int q = 0; q < Q; ++q) {
      const TopKQuery& y = *queries[q];
      least[q] = y.threshold - (y.error_weight * groups.error[g] + y.norm_weight * groups.norm[g] + groups.slack[g]);
    }
    for (std::int64_t lane = 0; lane < kTopKGroup; lane += 2 * L) {
      I32 sum[U][Q][2];
#pragma GCC unroll 4
      for (int u = 0; u < U; ++u)
#pragma GCC unroll 8
        for (int q = 0; q < Q; ++q) sum[u][q][0] = sum[u][q][1] = I32::zero();
      const std::int8_t* at = codes + 2 * lane;
      for (std::int64_t p = 0; p < pairs; p += U) {
#pragma GCC unroll 4
        for (int u = 0; u < U; ++u) {
          const I16 x0 = I16::widen(at), x1 = I16::widen(at + 2 * L);
#pragma GCC unroll 8
          for (int q = 0; q < Q; ++q) {
            const I16 y = I16::repeat_pair(query_codes[q] + 2 * (p + u));
            sum[u][q][0] = I32::add_dot(sum[u][q][0], x0, y);
            sum[u][q][1] = I32::add_dot(sum[u][q][1], x1, y);
          }
          at += 2 * kTopKGroup;
        }
      }
      // Through memory: an array that a loop indexes would not stay in registers above.
      std::int32_t sums[Q][2 * L];
#pragma GCC unroll 8
      for (int q = 0; q < Q; ++q) {
        I32 total0 = sum[0][q][0], total1 = sum[0][q][1];
#pragma GCC unroll 4
        for (int u = 1; u < U; ++u) {
          total0 = total0 + sum[u][q][0];
          total1 = total1 + sum[u][q][1];
        }
        total0.store(sums[q]);
        total1.store(sums[q] + L);
      }
      for (int v = 0; v < 2; ++v) {
        const std::int64_t item = g * kTopKGroup + lane + v * L;
        const F32 scale = F32::load(groups.scale + item);
        const F32 bias = groups.bias ? F32::load(groups.bias + item) : F32::zero();
        for (int q = 0; q < Q; ++q) {
          const F32 score = F32::fma(I32::load(sums[q] + v * L).to_float() * scale, query_scale[q], bias);
          unsigned mask = at_least(score, F32::set1(least[q]));
          if (mask == 0) continue;
          float scores[L];
          score.store(scores);
          do {
            const int l = __builtin_ctz(mask);
            survivors[q][counts[q]++] = {scores[l], static_cast<std::int32_t>(groups.first_position + item + l)};
            mask &= mask - 1;
          } while (mask != 0);
        }
      }
    }
  }
}

inline void topk_scan(const TopKGroups& groups, const TopKQuery* const* queries, int count,
                      TopKSurvivor* const* survivors, std::int64_t* counts) {
  constexpr int kWidth = I32::kRegisters / 4;
  const auto advance = [&](int n) {
    queries += n;
    survivors += n;
    counts += n;
    count -= n;
  };
  if constexpr (kWidth >= 8)
    for (; count >= 8; advance(8)) topk_scan_queries<8, 1>(groups, queries, survivors, counts);
  for (; count >= 4; advance(4)) topk_scan_queries<4, 1>(groups, queries, survivors, counts);
  for (; count >= 2; advance(2)) topk_scan_queries<2, 2>(groups, queries, survivors, counts);
  for (; count >= 1; advance(1)) topk_scan_queries<1, 4>(groups, queries, survivors, counts);
}

constexpr TopKKernels topk_kernels() {
  return {topk_score, topk_scan, I32::kRegisters / 4};
}

}  // namespace ecocore::ECOCORE_ISA
