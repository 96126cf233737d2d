// A tagger of tokens: tanh of their vectors, a bidirectional LSTM, and the log-probabilities of tags.
//
// Small models, one short text at a time: the products of the input are made for all tokens of a text ahead, and what
// is left of a step is one product with the state, whose cells follow without leaving the registers
// (kernels/recurrent.hpp).
//
// A text's result has the same bits alone, in any batch, on any number of threads, and with AVX2 as with AVX-512.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "ecocore/views.hpp"

namespace ecocore {

// One direction of the LSTM, as ONNX lays it out: gate order i, o, f, c.
struct DirectionWeights {
  MatrixView<const float> input;      // W, [4 hidden, width]
  MatrixView<const float> recurrent;  // R, [4 hidden, hidden]
  const float* bias = nullptr;        // [4 hidden], W's and R's summed
};

class TaggerNet {
 public:
  // directions: from the first token on, and from the last one back. output [tags, 2 hidden], first the columns of the
  // forward direction; output_bias [tags]. Copies what it needs. Throws InvalidArgument for shapes that do not fit
  // together and for weights that are NaN or inf.
  TaggerNet(const std::array<DirectionWeights, 2>& directions, MatrixView<const float> output,
            const float* output_bias);

  ~TaggerNet();

  std::int64_t width() const;
  std::int64_t tags() const;

  // vectors [texts, tokens, width] to log-probabilities [texts, tokens, tags].
  void emissions(std::int64_t texts, std::int64_t tokens, const float* vectors, float* out, int threads) const;

 private:
  struct Impl;
  std::unique_ptr<const Impl> impl_;
};

}  // namespace ecocore
