#include "ecocore/tagger_net.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>

#include "ecocore/error.hpp"
#include "ecocore/parallel.hpp"
#include "gate_panels.hpp"
#include "kernels/table.hpp"

namespace ecocore {
namespace {

constexpr int kGates = 4;
// Tokens whose pre-activations are in memory at once (of one text at least), few enough to stay in cache.
constexpr std::int64_t kBlockTokens = 384;

std::size_t size(std::int64_t n) {
  return static_cast<std::size_t>(n);
}

}  // namespace

struct TaggerNet::Impl {
  const RecurrentKernels& kernels;
  std::int64_t width, hidden, tags;
  std::int64_t padded;        // hidden units, up to whole vectors
  Panels input, input_start;  // both directions, one behind the other
  std::array<Panels, 2> recurrent;
  Panels output, output_start;

  // Of one thread. Rows of tokens lie as in `vectors`, text by text.
  struct Scratch {
    Panels x;       // [tokens, width]: tanh of the vectors
    Panels input;   // [tokens, 2, 4 padded]: pre-activations
    Panels states;  // [tokens, 2, padded]
    Panels logits;  // [tokens, tags, up to whole vectors]
    Panels c;       // [texts, padded]
    std::vector<const float*> from, start;
    std::vector<float*> to, c_rows;

    Scratch(const Impl& net, std::int64_t texts, std::int64_t tokens)
        : x(size(texts * tokens * net.width)),
          input(size(texts * tokens * 2 * kGates * net.padded)),
          states(size(texts * tokens * 2 * net.padded)),
          logits(size(texts * tokens) * net.output_start.size()),
          c(size(texts * net.padded)),
          from(size(texts * tokens)),
          start(size(texts * tokens)),
          to(size(texts * tokens)),
          c_rows(size(texts)) {}
  };

  Impl(const std::array<DirectionWeights, 2>& directions, MatrixView<const float> out, const float* output_bias);
  void run(std::int64_t texts, std::int64_t tokens, const float* vectors, float* out, Scratch& s) const;
};

TaggerNet::Impl::Impl(const std::array<DirectionWeights, 2>& directions, MatrixView<const float> out,
                      const float* output_bias)
    : kernels(ecocore::kernels().recurrent),
      width(directions[0].input.cols),
      hidden(directions[0].recurrent.cols),
      tags(out.rows) {
  require(width > 0 && hidden > 0 && tags > 0, "input, recurrent, output: expected sizes of at least 1");
  const int lanes = kernels.lanes;
  padded = blocks_of(hidden, lanes) * lanes;
  for (std::size_t d = 0; d < 2; ++d) {
    const DirectionWeights& from = directions[d];
    const std::string rows = std::to_string(kGates * hidden) + " rows, four for each unit";
    require(from.input.rows == kGates * hidden, "input: expected " + rows + "; got " + std::to_string(from.input.rows));
    require(from.input.cols == width,
            "input: expected " + std::to_string(width) + " columns; got " + std::to_string(from.input.cols));
    require(from.recurrent.rows == kGates * hidden && from.recurrent.cols == hidden,
            "recurrent: expected " + rows + ", and a column for each; got " + std::to_string(from.recurrent.rows) +
                " rows and " + std::to_string(from.recurrent.cols) + " columns");
    require_finite(from.input.data, from.input.size(), "input");
    require_finite(from.recurrent.data, from.recurrent.size(), "recurrent");
    require_finite(from.bias, kGates * hidden, "bias");
    const Panels panels = pack(from.input, 0, width, kGates, lanes);
    const Panels start = pack_bias(from.bias, hidden, kGates, lanes);
    input.insert(input.end(), panels.begin(), panels.end());
    input_start.insert(input_start.end(), start.begin(), start.end());
    recurrent[d] = pack(from.recurrent, 0, hidden, kGates, lanes);
  }
  require(out.cols == 2 * hidden, "output: expected " + std::to_string(2 * hidden) +
                                      " columns, one for each unit of both directions; got " +
                                      std::to_string(out.cols));
  require_finite(out.data, out.size(), "output");
  require_finite(output_bias, tags, "output_bias");
  std::vector<float> spread(size(tags * 2 * padded), 0.0f);  // columns where the states have theirs
  for (std::int64_t t = 0; t < tags; ++t)
    for (std::int64_t d = 0; d < 2; ++d)
      std::copy_n(out.row(t) + d * hidden, hidden, spread.data() + (t * 2 + d) * padded);
  output = pack({spread.data(), tags, 2 * padded}, 0, 2 * padded, 1, lanes);
  output_start = pack_bias(output_bias, tags, 1, lanes);
}

void TaggerNet::Impl::run(std::int64_t texts, std::int64_t tokens, const float* vectors, float* out, Scratch& s) const {
  const RecurrentKernels& k = kernels;
  const std::int64_t all = texts * tokens, blocks = padded / k.lanes, gates = kGates * padded;

  k.tanh(all * width, vectors, s.x.data());
  for (std::int64_t i = 0; i < all; ++i) {
    s.from[size(i)] = s.x.data() + i * width;
    s.start[size(i)] = input_start.data();
    s.to[size(i)] = s.input.data() + i * 2 * gates;
  }
  k.project_lstm({input.data(), width, 2 * blocks}, all, s.from.data(), s.start.data(), s.to.data());

  for (std::int64_t d = 0; d < 2; ++d) {
    std::fill(s.c.begin(), s.c.end(), 0.0f);
    for (std::int64_t i = 0; i < texts; ++i) {
      s.from[size(i)] = nullptr;
      s.c_rows[size(i)] = s.c.data() + i * padded;
    }
    for (std::int64_t step = 0; step < tokens; ++step) {
      const std::int64_t t = d == 0 ? step : tokens - 1 - step;
      for (std::int64_t i = 0; i < texts; ++i) {
        const std::int64_t row = (i * tokens + t) * 2 + d;
        s.start[size(i)] = s.input.data() + row * gates;
        s.to[size(i)] = s.states.data() + row * padded;
      }
      // The state before the first token is zero and adds nothing.
      const GatePanels panels{recurrent[size(d)].data(), step == 0 ? 0 : hidden, blocks};
      k.step_lstm(panels, nullptr, texts, s.start.data(), s.from.data(), s.to.data(), s.c_rows.data(), nullptr);
      for (std::int64_t i = 0; i < texts; ++i) s.from[size(i)] = s.to[size(i)];
    }
  }

  const auto room = static_cast<std::int64_t>(output_start.size());
  for (std::int64_t i = 0; i < all; ++i) {
    s.from[size(i)] = s.states.data() + i * 2 * padded;
    s.start[size(i)] = output_start.data();
    s.to[size(i)] = s.logits.data() + i * room;
  }
  k.project_rnn({output.data(), 2 * padded, room / k.lanes}, all, s.from.data(), s.start.data(), s.to.data());
  for (std::int64_t i = 0; i < all; ++i) {
    float* z = s.logits.data() + i * room;
    float* to = out + i * tags;
    const float largest = *std::max_element(z, z + tags);
    k.exp(tags, z, largest, to);
    double sum = 0;
    for (std::int64_t j = 0; j < tags; ++j) sum += static_cast<double>(to[j]);
    const double whole = static_cast<double>(largest) + std::log(sum);
    for (std::int64_t j = 0; j < tags; ++j) to[j] = static_cast<float>(static_cast<double>(z[j]) - whole);
  }
}

TaggerNet::TaggerNet(const std::array<DirectionWeights, 2>& directions, MatrixView<const float> output,
                     const float* output_bias)
    : impl_(std::make_unique<const Impl>(directions, output, output_bias)) {}

TaggerNet::~TaggerNet() = default;

std::int64_t TaggerNet::width() const {
  return impl_->width;
}
std::int64_t TaggerNet::tags() const {
  return impl_->tags;
}

void TaggerNet::emissions(std::int64_t texts, std::int64_t tokens, const float* vectors, float* out,
                          int threads) const {
  if (texts == 0 || tokens == 0) return;
  const Impl& net = *impl_;
  const std::int64_t block = std::max<std::int64_t>(1, std::min(texts, kBlockTokens / tokens));
  threads = num_threads(threads);  // asked once: it may change before parallel_for asks again
  std::vector<std::unique_ptr<Impl::Scratch>> scratch(static_cast<std::size_t>(threads));
  parallel_for(0, texts, block, threads, [&](std::int64_t begin, std::int64_t end, int slot) {
    auto& s = scratch[static_cast<std::size_t>(slot)];
    if (!s) s = std::make_unique<Impl::Scratch>(net, block, tokens);
    net.run(end - begin, tokens, vectors + begin * tokens * net.width, out + begin * tokens * net.tags, *s);
  });
}

}  // namespace ecocore
