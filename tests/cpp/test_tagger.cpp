// Token vectors and the decoding of BIO tags, which is compared with trying every path from Python.
#include "ecocore/tagger.hpp"

#include <limits>
#include <random>

#include "check.hpp"
#include "ecocore/error.hpp"

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
