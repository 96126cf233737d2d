// Token vectors, the network of the tagger, and the decoding of BIO tags, which is compared with trying every path from
// Python.
#include "ecocore/tagger.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <random>

#include "check.hpp"
#include "ecocore/error.hpp"
#include "ecocore/tagger_net.hpp"

using namespace ecocore;

TEST(tagger_decodes_at_border_sizes_and_what_is_no_number) {
  std::mt19937 rng(6);
  std::normal_distribution<float> normal;
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(decode_bio({nullptr, 0, 5}).empty());
  for (int round = 0; round < 400; ++round) {
    const std::int64_t steps = 1 + static_cast<std::int64_t>(rng() % 40),
                       tags = 1 + 2 * static_cast<std::int64_t>(rng() % 6);
    std::vector<float> e(static_cast<std::size_t>(steps * tags));
    for (float& x : e) x = rng() % 8 || round % 2 ? normal(rng) : std::vector<float>{inf, -inf, nan}[rng() % 3];
    std::int32_t last = 0;
    for (const TaggedSpan& s : decode_bio({e.data(), steps, tags})) {
      CHECK(last <= s.begin && s.begin < s.end && s.end <= steps);
      CHECK(0 <= s.slot && s.slot < tags / 2);
      last = s.end;
    }
  }
  const float even[] = {0, 0};
  CHECK_THROWS(InvalidArgument, "odd number", decode_bio({even, 1, 2}));
}

TEST(tagger_features_and_vectors_of_any_text) {
  std::mt19937 rng(7);
  const std::u32string units[] = {U"Order",
                                  U" ",
                                  U"12345678",
                                  U"12",
                                  U"\u6211",
                                  U"\U0001F600",
                                  U"?",
                                  std::u32string(1, 0xD800),
                                  std::u32string(50, U'x'),
                                  U"\u00DF",
                                  U"\uFB03"};
  for (int round = 0; round < 200; ++round) {
    std::u32string source;
    for (auto n = rng() % 30; n > 0; --n) source += units[rng() % std::size(units)];
    if (round == 0) source.assign(100'000, U'\u6211');
    const NormalizedText text = normalize(source);
    const std::vector<Token> tokens = tokenize(text);
    std::vector<RuleSpan> rules;
    const auto size = static_cast<std::int32_t>(source.size());
    for (std::int32_t at = 0; at + 3 < size && rules.size() < 5; at += 1 + static_cast<std::int32_t>(rng() % 5))
      rules.push_back({at, at + 1 + static_cast<std::int32_t>(rng() % 3), static_cast<std::uint32_t>(rng())});
    std::vector<std::uint32_t> hashes;
    token_features(source, text, tokens, rules, hashes);
    CHECK(hashes.size() == tokens.size() * kTokenFeatures);

    std::vector<std::uint32_t> keys;
    if (!hashes.empty() && hashes[0] != 0) keys.push_back(hashes[0]);
    const std::vector<std::int8_t> codes{1, -2, 3};
    const float scale[] = {0.5f};
    const TokenTable table(keys.data(), {codes.data(), static_cast<std::int64_t>(keys.size()), 3}, scale);
    std::vector<float> vectors(tokens.size() * 3, 9.0f);
    table.vectors(source, text, tokens, rules, vectors.data());
    if (!tokens.empty()) CHECK(vectors[0] == 0.5f && vectors[1] == -1.0f && vectors[2] == 1.5f);
  }
}

namespace {

// A tagger's weights, and its results as the formulas read, in double.
struct Network {
  std::int64_t width, hidden, tags;
  std::vector<float> input[2], recurrent[2], bias[2], output, output_bias;

  Network(std::int64_t w, std::int64_t h, std::int64_t t, std::mt19937& rng) : width(w), hidden(h), tags(t) {
    std::normal_distribution<float> normal;
    const auto draw = [&](std::int64_t n, std::int64_t terms) {
      std::vector<float> out(static_cast<std::size_t>(n));
      for (float& x : out) x = normal(rng) / std::sqrt(static_cast<float>(terms));
      return out;
    };
    for (int d = 0; d < 2; ++d) {
      input[d] = draw(4 * h * w, w);
      recurrent[d] = draw(4 * h * h, h);
      bias[d] = draw(4 * h, 1);
    }
    output = draw(t * 2 * h, h);
    output_bias = draw(t, 1);
  }

  std::array<DirectionWeights, 2> directions() const {
    std::array<DirectionWeights, 2> out;
    for (std::size_t d = 0; d < 2; ++d)
      out[d] = {{input[d].data(), 4 * hidden, width}, {recurrent[d].data(), 4 * hidden, hidden}, bias[d].data()};
    return out;
  }

  TaggerNet net() const { return {directions(), {output.data(), tags, 2 * hidden}, output_bias.data()}; }

  std::vector<double> emissions(std::int64_t tokens, const float* vectors) const {
    const auto at = [](std::int64_t i) { return static_cast<std::size_t>(i); };
    std::vector<double> states(at(tokens * 2 * hidden)), out;
    for (int d = 0; d < 2; ++d) {
      std::vector<double> h(at(hidden)), c(at(hidden)), sum(at(4 * hidden));
      for (std::int64_t step = 0; step < tokens; ++step) {
        const std::int64_t t = d == 0 ? step : tokens - 1 - step;
        for (std::int64_t g = 0; g < 4 * hidden; ++g) {
          double s = bias[d][at(g)];
          for (std::int64_t k = 0; k < width; ++k)
            s += input[d][at(g * width + k)] * std::tanh(static_cast<double>(vectors[t * width + k]));
          for (std::int64_t k = 0; k < hidden; ++k) s += recurrent[d][at(g * hidden + k)] * h[at(k)];
          sum[at(g)] = s;
        }
        const auto gate = [&](int g, std::int64_t u) { return 1 / (1 + std::exp(-sum[at(g * hidden + u)])); };
        for (std::int64_t u = 0; u < hidden; ++u) {
          c[at(u)] = gate(2, u) * c[at(u)] + gate(0, u) * std::tanh(sum[at(3 * hidden + u)]);
          h[at(u)] = gate(1, u) * std::tanh(c[at(u)]);
          states[at((t * 2 + d) * hidden + u)] = h[at(u)];
        }
      }
    }
    for (std::int64_t t = 0; t < tokens; ++t) {
      std::vector<double> z(at(tags));
      double sum = 0;
      for (std::int64_t j = 0; j < tags; ++j) {
        z[at(j)] = output_bias[at(j)];
        for (std::int64_t k = 0; k < 2 * hidden; ++k)
          z[at(j)] += output[at(j * 2 * hidden + k)] * states[at(t * 2 * hidden + k)];
        sum += std::exp(z[at(j)]);
      }
      for (const double x : z) out.push_back(x - std::log(sum));
    }
    return out;
  }
};

}  // namespace

TEST(tagger_net_is_its_formulas_alone_and_in_any_batch) {
  std::mt19937 rng(8);
  std::normal_distribution<float> normal;
  for (int round = 0; round < 60; ++round) {
    const auto draw = [&](unsigned n) { return 1 + static_cast<std::int64_t>(rng() % n); };
    const Network network(draw(70), draw(40), draw(40), rng);
    const TaggerNet net = network.net();
    CHECK(net.width() == network.width && net.tags() == network.tags);
    const std::int64_t tokens = round == 0 ? 500 : draw(20), texts = round < 10 ? draw(80) : draw(8);
    std::vector<float> vectors(static_cast<std::size_t>(texts * tokens * network.width));
    for (float& x : vectors) x = 2 * normal(rng);
    std::vector<float> all(static_cast<std::size_t>(texts * tokens * network.tags)), shared(all);
    net.emissions(texts, tokens, vectors.data(), all.data(), 1);
    net.emissions(texts, tokens, vectors.data(), shared.data(), 3);
    CHECK(all == shared);
    const auto size = static_cast<std::size_t>(tokens * network.tags);
    std::vector<float> alone(size);
    for (std::int64_t i = 0; i < texts; i += 1 + i / 3) {
      const float* from = vectors.data() + i * tokens * network.width;
      net.emissions(1, tokens, from, alone.data(), 1);
      CHECK(std::equal(alone.begin(), alone.end(), all.data() + i * tokens * network.tags));
      const std::vector<double> expected = network.emissions(tokens, from);
      for (std::size_t j = 0; j < size; ++j)
        CHECK(std::abs(static_cast<double>(alone[j]) - expected[j]) <= 2e-5 * std::max(1.0, std::abs(expected[j])));
    }
  }
}

TEST(tagger_net_of_no_tokens_and_of_scores_far_apart) {
  std::mt19937 rng(9);
  Network network(3, 5, 7, rng);
  network.output_bias[2] = 1e30f;
  network.output_bias[4] = -1e30f;
  const TaggerNet net = network.net();
  net.emissions(0, 4, nullptr, nullptr, 1);
  net.emissions(4, 0, nullptr, nullptr, 1);
  const float vectors[] = {1e30f, -1e30f, 0};
  float out[7];
  net.emissions(1, 1, vectors, out, 1);
  CHECK(out[2] == 0);
  for (const float x : out) CHECK(x <= 0 && std::isfinite(x));
}

TEST(tagger_net_refuses_weights_that_do_not_fit) {
  std::mt19937 rng(10);
  const Network network(3, 5, 7, rng);
  const MatrixView<const float> output{network.output.data(), 7, 10};
  auto directions = network.directions();
  directions[1].input.cols = 2;
  CHECK_THROWS(InvalidArgument, "expected 3 columns", TaggerNet(directions, output, network.output_bias.data()));
  directions = network.directions();
  directions[0].recurrent.rows = 16;
  CHECK_THROWS(InvalidArgument, "expected 20 rows", TaggerNet(directions, output, network.output_bias.data()));
  CHECK_THROWS(InvalidArgument, "expected 10 columns",
               TaggerNet(network.directions(), {network.output.data(), 7, 9}, network.output_bias.data()));
  Network bad = network;
  bad.recurrent[1][7] = std::numeric_limits<float>::quiet_NaN();
  CHECK_THROWS(InvalidArgument, "recurrent: expected finite", bad.net());
}
