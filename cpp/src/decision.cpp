#include "ecocore/decision.hpp"

#include <algorithm>
#include <cmath>

#include "ecocore/error.hpp"

namespace ecocore {
namespace {

double logistic(double z) {
  return 1 / (1 + std::exp(-std::clamp(z, -500.0, 500.0)));
}

}  // namespace

ScopeSignals scope_signals(const float* logits, std::int64_t intents, const UnseenShare& unseen) {
  require(intents > 0, "logits: expected at least one intent");
  float first = logits[0], second = intents == 1 ? 0.0f : logits[1];
  if (second > first) std::swap(first, second);
  for (std::int64_t k = 2; k < intents; ++k) {
    second = std::max(second, std::min(first, logits[k]));
    first = std::max(first, logits[k]);
  }
  double sum = 0;
  for (std::int64_t k = 0; k < intents; ++k) sum += static_cast<double>(logits[k]);
  return {first, first - second, sum / static_cast<double>(intents), unseen.of[kWords], unseen.of[kCharacters]};
}

Verdict decide(const Decision& d, const float* logits, std::int64_t intents, const UnseenShare& unseen) {
  const ScopeSignals signals = scope_signals(logits, intents, unseen);
  Verdict v;
  double scope = d.scope[kScopeSignals];
  for (int i = 0; i < kScopeSignals; ++i)
    scope += d.scope[static_cast<std::size_t>(i)] * signals[static_cast<std::size_t>(i)];
  v.in_scope = logistic(scope);

  for (std::int64_t k = 0; k < intents; ++k) {  // insertion into the few that are shown
    int at = v.shown;
    while (at > 0 && logits[k] > logits[v.intent[static_cast<std::size_t>(at - 1)]]) --at;
    if (at == kShownIntents) continue;
    v.shown = std::min(v.shown + 1, kShownIntents);
    for (int i = v.shown - 1; i > at; --i)
      v.intent[static_cast<std::size_t>(i)] = v.intent[static_cast<std::size_t>(i - 1)];
    v.intent[static_cast<std::size_t>(at)] = static_cast<std::int32_t>(k);
  }
  const double largest = static_cast<double>(logits[v.intent[0]]) / d.temperature;
  double total = 0;
  if (!d.several)
    for (std::int64_t k = 0; k < intents; ++k)
      total += std::exp(static_cast<double>(logits[k]) / d.temperature - largest);
  std::array<double, kShownIntents> share{};
  for (int i = 0; i < v.shown; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const double z = static_cast<double>(logits[v.intent[at]]) / d.temperature;
    share[at] = d.several ? logistic(z) : std::exp(z - largest) / total;
    v.chance[at] = d.several ? share[at] : share[at] * v.in_scope;
  }
  v.confidence = share[0] * v.in_scope;
  if (v.in_scope < d.scope_threshold || v.in_scope == 0) {
    v.outcome = Outcome::kOutOfScope;
  } else if (v.confidence >= d.sure_threshold) {
    v.outcome = Outcome::kSure;
    v.choices = 1;
  } else {
    v.outcome = Outcome::kAsk;
    v.choices = std::min(v.shown, share[0] + share[1] >= d.choice_share ? 2 : 3);
  }
  return v;
}

Verdict judge(const IntentModel& model, const Decision& decision, const NormalizedText& text,
              const std::vector<Token>& tokens) {
  thread_local std::vector<float> logits;
  logits.resize(static_cast<std::size_t>(model.intents()));
  UnseenShare unseen;
  model.score(text, tokens, logits.data(), unseen);
  Verdict v = decide(decision, logits.data(), model.intents(), unseen);
  if (tokens.empty()) {
    v.outcome = Outcome::kOutOfScope;
    v.in_scope = v.confidence = 0;
    v.chance = {};
    v.choices = 0;
  }
  return v;
}

}  // namespace ecocore
