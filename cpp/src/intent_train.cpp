#include <algorithm>
#include <bit>
#include <cmath>

#include "ecocore/error.hpp"
#include "ecocore/intent.hpp"
#include "ecocore/parallel.hpp"
#include "kernels/table.hpp"

namespace ecocore {
namespace {

// SplitMix64 (Steele, Lea, Flood 2014): the same sequence on every platform.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
  }
  float uniform() { return static_cast<float>(next() >> 40) * 0x1p-24f; }  // [0, 1)
  // About normal, mean 0, variance 1: four uniforms; only the scale of the start matters.
  float bell() { return (uniform() + uniform() + uniform() + uniform() - 2.0f) * 1.7320508f; }

 private:
  std::uint64_t state_;
};

// 1 / (1 + e^-z) by a polynomial of our own, so that a model is the same bits with every C library. Relative error of
// the exponential below 2e-7.
float logistic(float z) {
  const float x = std::clamp(-z, -80.0f, 80.0f) * 1.44269504f;
  const float whole = std::floor(x + 0.5f), r = (x - whole) * 0.69314718f;
  float p = 1.0f / 720;
  for (const float c : {1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f}) p = p * r + c;
  return 1.0f / (1.0f + p * std::bit_cast<float>((static_cast<std::int32_t>(whole) + 127) << 23));
}

constexpr float kSmall = 1e-6f;  // where AdaGrad's sums start

// A block of parameters that takes one step for a batch.
struct Block {
  std::vector<float>& values;
  std::vector<float> gradient, sums;

  explicit Block(std::vector<float>& v) : values(v), gradient(v.size(), 0.0f), sums(v.size(), kSmall) {}

  void step(float rate, float scale) {
    kernels().nlu.adagrad(rate, scale, gradient.data(), values.data(), sums.data(),
                          static_cast<std::int64_t>(values.size()));
    std::fill(gradient.begin(), gradient.end(), 0.0f);
  }
};

IntentWeights train_one(const CsrView& features, const CsrView& labels, const MatrixView<const float>& dense,
                        const IntentTraining& options, const std::function<void()>& poll) {
  const std::int64_t n = features.rows, h = options.hidden, intents = labels.cols;
  const NluKernels& kernel = kernels().nlu;
  Random random(options.seed);

  IntentWeights w;
  const auto start = [&](std::vector<float>& values, std::int64_t size, float scale) {
    values.resize(static_cast<std::size_t>(size));
    for (float& v : values) v = random.bell() * scale;
  };
  const float spread = 1.0f / std::sqrt(static_cast<float>(h));
  start(w.table, features.cols * h, spread);
  start(w.projection, dense.cols * h, dense.cols > 0 ? 1.0f / std::sqrt(static_cast<float>(dense.cols)) : 0.0f);
  start(w.output, h * intents, spread);
  w.bias.assign(static_cast<std::size_t>(h), 0.0f);
  w.output_bias.assign(static_cast<std::size_t>(intents), -2.0f);  // most intents are not the one

  std::vector<float> table_sums(w.table.size(), kSmall);
  Block projection(w.projection), bias(w.bias), output(w.output), output_bias(w.output_bias);

  std::vector<std::int64_t> order(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i) order[static_cast<std::size_t>(i)] = i;
  std::vector<float> hidden(static_cast<std::size_t>(h)), active(hidden), kept(hidden), back(hidden);
  std::vector<float> delta(static_cast<std::size_t>(intents));
  std::vector<SparseEntry> entries;
  const auto steps = static_cast<double>(n) * options.epochs;
  double step = 0;

  for (int epoch = 0; epoch < options.epochs; ++epoch) {
    for (std::int64_t i = n - 1; i > 0; --i)
      std::swap(order[static_cast<std::size_t>(i)], order[random.next() % static_cast<std::uint64_t>(i + 1)]);
    for (std::int64_t first = 0; first < n; first += options.batch) {
      const std::int64_t last = std::min(n, first + options.batch);
      const auto left = static_cast<float>(1.0 - step / steps);
      for (std::int64_t q = first; q < last; ++q, ++step) {
        const std::int64_t example = order[static_cast<std::size_t>(q)];

        entries.clear();
        const float up = 1.0f / (1.0f - options.ngram_dropout);
        for (std::int64_t p = features.begin(example); p < features.end(example); ++p)
          if (random.uniform() >= options.ngram_dropout)
            entries.push_back({features.indices[p], features.data[p] * up});

        std::copy(w.bias.begin(), w.bias.end(), hidden.begin());
        for (const SparseEntry& e : entries) kernel.axpy(e.weight, w.table.data() + e.row * h, hidden.data(), h);
        for (std::int64_t d = 0; d < dense.cols; ++d)
          kernel.axpy(dense.row(example)[d], w.projection.data() + d * h, hidden.data(), h);
        for (std::size_t k = 0; k < hidden.size(); ++k) {
          kept[k] = random.uniform() < options.hidden_dropout ? 0.0f : 1.0f / (1.0f - options.hidden_dropout);
          if (hidden[k] <= 0) kept[k] = 0;
          active[k] = hidden[k] * kept[k];
        }

        std::copy(w.output_bias.begin(), w.output_bias.end(), delta.begin());
        for (std::int64_t k = 0; k < h; ++k)
          if (active[static_cast<std::size_t>(k)] > 0)
            kernel.axpy(active[static_cast<std::size_t>(k)], w.output.data() + k * intents, delta.data(), intents);
        for (float& d : delta) d = logistic(d);
        for (std::int64_t p = labels.begin(example); p < labels.end(example); ++p)
          delta[static_cast<std::size_t>(labels.indices[p])] -= 1.0f - options.smoothing;

        for (std::int64_t k = 0; k < h; ++k) {
          const auto at = static_cast<std::size_t>(k);
          back[at] = kept[at] > 0 ? kernel.dot(delta.data(), w.output.data() + k * intents, intents) * kept[at] : 0.0f;
          if (active[at] > 0) kernel.axpy(active[at], delta.data(), output.gradient.data() + k * intents, intents);
        }
        kernel.axpy(1.0f, delta.data(), output_bias.gradient.data(), intents);
        kernel.axpy(1.0f, back.data(), bias.gradient.data(), h);
        for (std::int64_t d = 0; d < dense.cols; ++d)
          kernel.axpy(dense.row(example)[d], back.data(), projection.gradient.data() + d * h, h);
        for (const SparseEntry& e : entries)
          kernel.adagrad(options.table_rate * left, e.weight, back.data(), w.table.data() + e.row * h,
                         table_sums.data() + e.row * h, h);
      }
      const float mean = 1.0f / static_cast<float>(last - first), rate = options.dense_rate * left;
      if (dense.cols > 0) projection.step(rate, mean);
      bias.step(rate, mean);
      output.step(rate, mean);
      output_bias.step(rate, mean);
      if (poll) poll();
    }
  }
  return w;
}

}  // namespace

std::vector<IntentWeights> train_intents(const CsrView& features, const CsrView& labels,
                                         const MatrixView<const float>& dense, const IntentTraining& options,
                                         std::int64_t members, int threads, const std::function<void()>& poll) {
  require(features.rows > 0 && labels.rows == features.rows, "labels: expected a row for each example");
  require(dense.data == nullptr || dense.rows == features.rows, "dense: expected a row for each example");
  require(options.hidden > 0 && options.epochs > 0 && options.batch > 0 && members > 0,
          "hidden, epochs, batch, members: expected at least 1");
  require(options.ngram_dropout >= 0 && options.ngram_dropout < 1 && options.hidden_dropout >= 0 &&
              options.hidden_dropout < 1,
          "dropout: expected a share from 0 to below 1");
  std::vector<IntentWeights> out(static_cast<std::size_t>(members));
  parallel_for(0, members, 1, threads, [&](std::int64_t from, std::int64_t to, int) {
    for (std::int64_t m = from; m < to; ++m) {
      IntentTraining own = options;
      own.seed += static_cast<std::uint64_t>(m);
      out[static_cast<std::size_t>(m)] = train_one(features, labels, dense, own, poll);
    }
  });
  return out;
}

}  // namespace ecocore
