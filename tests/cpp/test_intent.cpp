// The intent model and its decision: small, at border sizes, and shared by threads. Formulas are tested from Python.
#include <atomic>
#include <cmath>
#include <limits>
#include <random>
#include <thread>

#include "check.hpp"
#include "ecocore/decision.hpp"
#include "ecocore/error.hpp"

using namespace ecocore;

namespace {

struct Parts {
  std::vector<std::uint32_t> keys;
  std::vector<float> idf, scales, projection, bias, output, output_bias;
  std::vector<std::int8_t> codes;
  std::int64_t rank, hidden, intents;

  Parts(const std::vector<std::u32string>& texts, std::int64_t r, std::int64_t h, std::int64_t n)
      : rank(r), hidden(h), intents(n) {
    std::mt19937 rng(5);
    std::uniform_real_distribution<float> near(-1, 1);
    const Vocabulary v = build_vocabulary(texts, 1, {"order", "zzz"}, 2);
    keys = v.keys;
    const auto rows = keys.size();
    idf.assign(rows, 1.5f);
    scales.assign(rows, 0.01f);
    codes.resize(rows * static_cast<std::size_t>(r));
    for (auto& c : codes) c = static_cast<std::int8_t>(static_cast<int>(rng() % 255) - 127);
    const auto fill = [&](std::vector<float>& x, std::int64_t size) {
      x.resize(static_cast<std::size_t>(size));
      for (float& f : x) f = near(rng);
    };
    fill(projection, r * h);
    fill(bias, h);
    fill(output, h * n);
    fill(output_bias, n);
  }

  IntentModel model() const {
    return {Featurizer(keys.data(), idf.data(), static_cast<std::int64_t>(keys.size()), 2.0f),
            {codes.data(), static_cast<std::int64_t>(keys.size()), rank},
            scales.data(),
            {projection.data(), rank, hidden},
            bias.data(),
            {output.data(), hidden, intents},
            output_bias.data()};
  }
};

const std::vector<std::u32string> kTexts = {U"where is my order", U"\u6211\u8981\u9000\u6B3E", U"", U"12345678 ???"};

}  // namespace

TEST(intent_one_model_serves_many_threads) {
  for (const std::int64_t size : {std::int64_t{1}, std::int64_t{15}, std::int64_t{16}, std::int64_t{33}}) {
    const Parts parts(kTexts, size, size + 1, size);
    const IntentModel model = parts.model();
    std::vector<std::u32string> texts = kTexts;
    texts.push_back(std::u32string(100'000, U'\u6211'));
    std::vector<std::vector<float>> want;
    const auto score = [&](const std::u32string& source) {
      const NormalizedText text = normalize(source);
      std::vector<float> logits(static_cast<std::size_t>(size));
      UnseenShare unseen;
      model.score(text, tokenize(text), logits.data(), unseen);
      for (const float u : unseen.of) CHECK(0 <= u && u <= 1);
      return logits;
    };
    for (const auto& t : texts) want.push_back(score(t));
    std::atomic<int> wrong{0};
    std::vector<std::thread> callers;
    for (int c = 0; c < 4; ++c)
      callers.emplace_back([&] {
        for (std::size_t i = 0; i < texts.size(); ++i) wrong += score(texts[i]) != want[i];
      });
    for (auto& t : callers) t.join();
    CHECK(wrong == 0);
  }
}

TEST(intent_an_explanation_sums_to_the_logit) {
  const Parts parts(kTexts, 7, 9, 3);
  const IntentModel model = parts.model();
  for (const std::u32string& source : kTexts) {
    const NormalizedText text = normalize(source);
    const std::vector<Token> tokens = tokenize(text);
    std::vector<float> logits(3), units(9);
    UnseenShare unseen;
    model.score(text, tokens, logits.data(), unseen);
    model.encode(text, tokens, units.data(), unseen);
    double sum = parts.output_bias[1];
    for (std::size_t k = 0; k < 9; ++k)
      if (units[k] > 0) sum += static_cast<double>(parts.bias[k]) * static_cast<double>(parts.output[k * 3 + 1]);
    for (const Contribution& c : model.explain(text, tokens, 1)) {
      CHECK(0 <= c.begin && c.begin < c.end && c.end <= static_cast<std::int32_t>(source.size()));
      sum += static_cast<double>(c.logit);
    }
    CHECK(std::fabs(sum - static_cast<double>(logits[1])) < 1e-4);
    CHECK_THROWS(InvalidArgument, "intent", model.explain(text, tokens, 3));
  }
}

TEST(intent_parts_that_do_not_fit_are_refused) {
  Parts parts(kTexts, 4, 5, 2);
  parts.rank = 3;
  parts.projection.resize(20);
  CHECK_THROWS(InvalidArgument, "projection", [&] {
    const std::int64_t rows = static_cast<std::int64_t>(parts.keys.size());
    const IntentModel model(Featurizer(parts.keys.data(), parts.idf.data(), rows, 0.0f), {parts.codes.data(), rows, 4},
                            parts.scales.data(), {parts.projection.data(), 4, 4}, parts.bias.data(),
                            {parts.output.data(), 5, 2}, parts.output_bias.data());
  }());
  const std::uint32_t twice[] = {4, 4};
  CHECK_THROWS(InvalidArgument, "stands twice", KeyIndex(twice, 2));
}

TEST(intent_training_is_the_same_on_any_number_of_threads) {
  const std::vector<std::int64_t> indptr{0, 2, 3, 3}, label_indptr{0, 1, 2, 2};
  const std::vector<std::int32_t> indices{0, 1, 1}, labels{0, 1};
  const std::vector<float> weights{1.0f, 0.5f, 1.0f};
  IntentTraining options;
  options.hidden = 17;
  options.epochs = 3;
  options.batch = 2;
  const auto train = [&](int threads) {
    return train_intents({3, 2, indptr.data(), indices.data(), weights.data()},
                         {3, 2, label_indptr.data(), labels.data(), nullptr}, {}, options, 3, threads, nullptr);
  };
  const auto one = train(1), many = train(3);
  CHECK(one.size() == 3);
  for (std::size_t m = 0; m < 3; ++m) CHECK(one[m].table == many[m].table && one[m].output == many[m].output);
}

TEST(decision_at_its_borders) {
  Decision d;
  d.scope[kScopeSignals] = 20;
  const UnseenShare unseen;
  const float one[] = {3.0f};
  Verdict v = decide(d, one, 1, unseen);
  CHECK(v.shown == 1 && v.intent[0] == 0 && v.chance[0] > 0.99 && v.choices == 1);
  d.sure_threshold = 2;
  CHECK(decide(d, one, 1, unseen).choices == 1);
  const float tied[] = {1, 1, 1, 1, 1, 1, 1};
  v = decide(d, tied, 7, unseen);
  CHECK(v.outcome == Outcome::kAsk && v.shown == kShownIntents && v.choices == 3);
  for (int i = 0; i < v.shown; ++i) CHECK(v.intent[static_cast<std::size_t>(i)] == i);
  const float no_number = std::numeric_limits<float>::quiet_NaN();
  const float strange[] = {no_number, no_number, 1.0f};
  v = decide(d, strange, 3, unseen);  // no matter what, but within bounds
  CHECK(v.shown == 3);
  d.scope[kScopeSignals] = -1000;
  d.scope_threshold = 0.5;
  CHECK(decide(d, tied, 7, unseen).outcome == Outcome::kOutOfScope);
  CHECK_THROWS(InvalidArgument, "intent", decide(d, one, 0, unseen));
}
