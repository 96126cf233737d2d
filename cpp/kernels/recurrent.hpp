// The kernels of recurrent cells, see recurrent.inl.hpp.
#pragma once

#include <cstdint>

namespace ecocore {

// A matrix whose columns are hidden units times gates, cut into blocks of `lanes` units. Within a block the gates of a
// unit meet in one step of k, so that a cell's activations follow its sums without leaving the registers:
// [blocks][depth][gates][lanes]. Pre-activations and biases are rows in the same order: [blocks][gates][lanes].
struct GatePanels {
  const float* weights;
  std::int64_t depth;   // k, the length of the vector that is multiplied
  std::int64_t blocks;  // of hidden units, the last one padded with zeros
};

// Rows anywhere in memory that will be read soon. Every tile of a step asks for its share of them, into the
// second-level cache, so that they come while others are multiplied; asked for all at once they would be waited for.
struct Ahead {
  const char* const* rows = nullptr;
  std::int64_t count = 0, bytes = 0;  // of rows; of each

  // A share of them: whole rows, since memory gives those sooner than as many pieces.
  void ask(std::int64_t share, std::int64_t shares) const {
    for (std::int64_t r = count * share / shares; r < count * (share + 1) / shares; ++r)
      for (std::int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(rows[r] + i, 0, 2);
  }
};
constexpr int kAheads = 3;

struct RecurrentKernels {
  int lanes;

  // out[r] = start[r] + x[r] . panels, for each of `rows`; start and out in the order of the panels.
  using Project = void (*)(const GatePanels& panels, std::int64_t rows, const float* const* x,
                           const float* const* start, float* const* out);
  Project project_rnn, project_gru, project_lstm;

  // One event for each row: h_out and c from h_in, c and the row's pre-activation `input` (W x + bias). `bias` is the
  // recurrent bias that must stay apart from the input (the candidate gate of a GRU), in the order of the panels.
  // h_in and h_out must not overlap: every unit of the new state needs all of the old. c is null but for LSTM. `ahead`
  // is kAheads, or null.
  using Step = void (*)(const GatePanels& panels, const float* bias, std::int64_t rows, const float* const* input,
                        const float* const* h_in, float* const* h_out, float* const* c, const Ahead* ahead);
  Step step_rnn, step_gru, step_lstm;

  // out[i] = half[i] (IEEE half precision, finite) and out[i] = scale * codes[i], i < n. Each is one rounding at most,
  // so all instruction sets give the same bits.
  void (*widen_half)(std::int64_t n, const std::uint16_t* half, float* out);
  void (*widen_codes)(std::int64_t n, const std::int8_t* codes, float scale, float* out);

  // out[i] = tanh(x[i]) and out[i] = e^(x[i] - shift), i < n, as the cells compute them; out may be x.
  void (*tanh)(std::int64_t n, const float* x, float* out);
  void (*exp)(std::int64_t n, const float* x, float shift, float* out);
};

}  // namespace ecocore
