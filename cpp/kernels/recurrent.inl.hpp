// Kernels of recurrent cells, written once against F32 of the including ISA.
//
// Order of summation: every pre-activation is one chain of fused multiply-adds in float32, k rising, that begins at its
// start value. Which rows share a call, and how rows and units are cut into tiles, never enters: a row gives the same
// bits alone and in any batch, on AVX2 and on AVX-512. (Scalar code rounds the product first and differs in the last
// place.)
namespace ecocore::ECOCORE_ISA {

// e^x with a relative error below 2e-7: 2^n e^r with n whole and |r| <= ln(2) / 2, the polynomial of Cephes expf.
inline F32 exponential(F32 x) {
  x = clamp(x, -87.0f, 88.0f);
  const F32 shift = F32::set1(12582912.0f);  // 1.5 * 2^23: adding it rounds to a whole number
  const F32 n = F32::fma(x, F32::set1(1.44269504f), shift) - shift;
  F32 r = F32::fnma(n, F32::set1(0.693359375f), x);
  r = F32::fnma(n, F32::set1(-2.12194440e-4f), r);
  F32 p = F32::set1(1.9875691500e-4f);
  p = F32::fma(p, r, F32::set1(1.3981999507e-3f));
  p = F32::fma(p, r, F32::set1(8.3334519073e-3f));
  p = F32::fma(p, r, F32::set1(4.1665795894e-2f));
  p = F32::fma(p, r, F32::set1(1.6666665459e-1f));
  p = F32::fma(p, r, F32::set1(5.0000001201e-1f));
  const F32 one = F32::set1(1.0f);
  return (F32::fma(p, r * r, r) + one) * power_of_two(n);
}

inline F32 sigmoid(F32 x) {
  const F32 one = F32::set1(1.0f);
  return one / (one + exponential(F32::zero() - x));
}

inline F32 hyperbolic_tangent(F32 x) {
  const F32 one = F32::set1(1.0f), two = F32::set1(2.0f);
  return one - two / (exponential(two * x) + one);
}

// A tile: kBlocks blocks of units times kRows rows. Its sums, the inputs of its rows and one weight fill the registers.
template <int kGates, int kBlocks, int kRows>
struct Tile {
  F32 sum[kBlocks][kGates][kRows];

  void multiply(const GatePanels& p, std::int64_t block, const float* const* x) {
    const std::int64_t stride = p.depth * kGates * F32::kLanes;
    const float* w = p.weights + block * stride;
    for (std::int64_t k = 0; k < p.depth; ++k, w += kGates * F32::kLanes) {
      F32 value[kRows];
      for (int r = 0; r < kRows; ++r) value[r] = F32::set1(x[r][k]);
      for (int b = 0; b < kBlocks; ++b)
        for (int g = 0; g < kGates; ++g) {
          const F32 weight = F32::load(w + b * stride + g * F32::kLanes);
          for (int r = 0; r < kRows; ++r) sum[b][g][r] = F32::fma(value[r], weight, sum[b][g][r]);
        }
    }
  }
};

struct Rnn {
  static constexpr int kGates = 1;
};
struct Gru {
  static constexpr int kGates = 3;  // update z, reset r, candidate n
};
struct Lstm {
  static constexpr int kGates = 4;  // input, output, forget, cell: the order of ONNX
};

template <class Cell, int kBlocks, int kRows>
void project_tile(const GatePanels& p, std::int64_t block, const float* const* x, const float* const* start,
                  float* const* out) {
  constexpr int kGates = Cell::kGates;
  Tile<kGates, kBlocks, kRows> t;
  const auto at = [&](int b, int g) { return ((block + b) * kGates + g) * F32::kLanes; };
  for (int b = 0; b < kBlocks; ++b)
    for (int g = 0; g < kGates; ++g)
      for (int r = 0; r < kRows; ++r) t.sum[b][g][r] = F32::load(start[r] + at(b, g));
  t.multiply(p, block, x);
  for (int b = 0; b < kBlocks; ++b)
    for (int g = 0; g < kGates; ++g)
      for (int r = 0; r < kRows; ++r) t.sum[b][g][r].store(out[r] + at(b, g));
}

// h = tanh(a)
inline void finish(Rnn, const F32* a, const float*, const float*, float* h, float*) {
  hyperbolic_tangent(a[0]).store(h);
}

// z = s(a_z), r = s(a_r), n = tanh(x_n + r * a_n), h' = (1 - z) n + z h
inline void finish(Gru, const F32* a, const float* input, const float* h_in, float* h, float*) {
  const F32 z = sigmoid(a[0]), r = sigmoid(a[1]);
  const F32 n = hyperbolic_tangent(F32::fma(r, a[2], F32::load(input + 2 * F32::kLanes)));
  F32::fma(z, F32::load(h_in) - n, n).store(h);
}

// c' = s(a_f) c + s(a_i) tanh(a_c), h' = s(a_o) tanh(c')
inline void finish(Lstm, const F32* a, const float*, const float*, float* h, float* c) {
  const F32 kept = sigmoid(a[2]) * F32::load(c);
  const F32 cell = F32::fma(sigmoid(a[0]), hyperbolic_tangent(a[3]), kept);
  cell.store(c);
  (sigmoid(a[1]) * hyperbolic_tangent(cell)).store(h);
}

template <class Cell, int kBlocks, int kRows>
void step_tile(const GatePanels& p, std::int64_t block, const float* bias, const float* const* input,
               const float* const* h_in, float* const* h_out, float* const* c) {
  constexpr int kGates = Cell::kGates;
  constexpr bool kApart = kGates == 3;  // the candidate's recurrent sum is scaled by r before it meets the input
  Tile<kGates, kBlocks, kRows> t;
  const auto at = [&](int b, int g) { return ((block + b) * kGates + g) * F32::kLanes; };
  for (int b = 0; b < kBlocks; ++b)
    for (int g = 0; g < kGates; ++g)
      for (int r = 0; r < kRows; ++r) t.sum[b][g][r] = F32::load((kApart && g == 2 ? bias : input[r]) + at(b, g));
  t.multiply(p, block, h_in);
  for (int r = 0; r < kRows; ++r)
    for (int b = 0; b < kBlocks; ++b) {
      F32 a[kGates];
      for (int g = 0; g < kGates; ++g) a[g] = t.sum[b][g][r];
      const std::int64_t unit = (block + b) * F32::kLanes;
      finish(Cell{}, a, input[r] + at(b, 0), h_in[r] + unit, h_out[r] + unit, c ? c[r] + unit : nullptr);
    }
}

// Rows of a tile that fill the registers: sums, one value a row, one weight.
template <class Cell>
constexpr int tile_rows() {
  constexpr int kRegisters = F32::kLanes == 16 ? 32 : 16;
  return (kRegisters - 1) / (Cell::kGates == 1 ? 5 : Cell::kGates + 1);
}

// Calls f.template operator()<1, left>(block, row) for a `left` below kRows that is known only now.
template <int kRows, class F>
void for_rest(std::int64_t blocks, std::int64_t row, std::int64_t left, const F& f) {
  if constexpr (kRows > 2) {
    if (left < kRows - 1) return for_rest<kRows - 1>(blocks, row, left, f);
    for (std::int64_t b = 0; b < blocks; ++b) f.template operator()<1, kRows - 1>(b, row);
  }
}

// Calls f.template operator()<blocks, rows>(first block, first row) for the tiles of all rows and blocks. Blocks are
// the outer loop, so that a block's weights stay in the nearest cache; rows that are left over make a smaller tile, for
// the weights come from far. A single row takes several blocks at once instead, for enough independent sums to hide the
// latency of a multiply-add.
template <class Cell, class F>
void for_tiles(std::int64_t blocks, std::int64_t rows, const F& f) {
  constexpr int kRows = tile_rows<Cell>();
  constexpr int kWide = Cell::kGates == 1 ? 4 : 1;
  constexpr int kSingle = Cell::kGates == 1 ? 4 : F32::kLanes == 16 ? 4 : 2;
  const std::int64_t left = rows % kRows, full = rows - left;
  std::int64_t b = 0;
  for (; full && b + kWide <= blocks; b += kWide)
    for (std::int64_t r = 0; r < full; r += kRows) f.template operator()<kWide, kRows>(b, r);
  for (; full && b < blocks; ++b)
    for (std::int64_t r = 0; r < full; r += kRows) f.template operator()<1, kRows>(b, r);
  if (left > 1) return for_rest<kRows>(blocks, full, left, f);
  for (std::int64_t r = full; r < rows; ++r) {
    b = 0;
    for (; b + kSingle <= blocks; b += kSingle) f.template operator()<kSingle, 1>(b, r);
    for (; b < blocks; ++b) f.template operator()<1, 1>(b, r);
  }
}

template <class Cell>
void project(const GatePanels& p, std::int64_t rows, const float* const* x, const float* const* start,
             float* const* out) {
  for_tiles<Cell>(p.blocks, rows, [&]<int kBlocks, int kRows>(std::int64_t b, std::int64_t r) {
    project_tile<Cell, kBlocks, kRows>(p, b, x + r, start + r, out + r);
  });
}

template <class Cell>
void step(const GatePanels& p, const float* bias, std::int64_t rows, const float* const* input,
          const float* const* h_in, float* const* h_out, float* const* c, const Ahead* ahead) {
  const std::int64_t high = (rows + tile_rows<Cell>() - 1) / tile_rows<Cell>();
  for_tiles<Cell>(p.blocks, rows, [&]<int kBlocks, int kRows>(std::int64_t b, std::int64_t r) {
    for (int i = 0; ahead && i < kAheads; ++i)
      for (std::int64_t block = b; block < b + kBlocks; ++block)
        ahead[i].ask(block * high + r / tile_rows<Cell>(), p.blocks * high);
    step_tile<Cell, kBlocks, kRows>(p, b, bias, input + r, h_in + r, h_out + r, c ? c + r : nullptr);
  });
}

// out[i] = f(in + i) for an f() of kLanes numbers at once; the last ones by way of a full vector of copies.
template <class T, class F>
void map_all(std::int64_t n, const T* in, float* out, const F& f) {
  std::int64_t i = 0;
  for (; i + F32::kLanes <= n; i += F32::kLanes) f(in + i).store(out + i);
  const int left = static_cast<int>(n - i);
  T last[F32::kLanes] = {};
  float wide[F32::kLanes];
  for (int j = 0; j < F32::kLanes && j < left; ++j) last[j] = in[i + j];
  f(last).store(wide);
  for (int j = 0; j < F32::kLanes && j < left; ++j) out[i + j] = wide[j];
}

inline void widen_half(std::int64_t n, const std::uint16_t* half, float* out) {
  map_all(n, half, out, [](const std::uint16_t* p) { return F32::widen_half(p); });
}

inline void widen_codes(std::int64_t n, const std::int8_t* codes, float scale, float* out) {
  const F32 s = F32::set1(scale);
  map_all(n, codes, out, [s](const std::int8_t* p) { return s * F32::widen_codes(p); });
}

inline void tanh_all(std::int64_t n, const float* x, float* out) {
  map_all(n, x, out, [](const float* p) { return hyperbolic_tangent(F32::load(p)); });
}

inline void exp_all(std::int64_t n, const float* x, float shift, float* out) {
  const F32 s = F32::set1(shift);
  map_all(n, x, out, [s](const float* p) { return exponential(F32::load(p) - s); });
}

constexpr RecurrentKernels recurrent_kernels() {
  return {F32::kLanes, &project<Rnn>, &project<Gru>, &project<Lstm>, &step<Rnn>, &step<Gru>,
          &step<Lstm>, &widen_half,   &widen_codes,  &tanh_all,      &exp_all};
}

}  // namespace ecocore::ECOCORE_ISA
