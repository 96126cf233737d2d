// From the logits of intents to calibrated probabilities, and to what to do: answer, ask back, or turn away.
#pragma once

#include <array>
#include <cstdint>

#include "ecocore/intent.hpp"

namespace ecocore {

// What tells questions in scope from others: the largest logit, its lead over the second, the mean of all, and the
// shares of words and of pieces of words that training never saw.
inline constexpr int kScopeSignals = 5;
using ScopeSignals = std::array<double, kScopeSignals>;

ScopeSignals scope_signals(const float* logits, std::int64_t intents, const UnseenShare& unseen);

enum class Outcome : std::uint8_t { kSure, kAsk, kOutOfScope };

// The constants are fitted on held-out texts, see ecocore.train.
struct Decision {
  double temperature = 1;  // softmax(logits / temperature) are the shares of the intents in what is in scope
  std::array<double, kScopeSignals + 1> scope{};  // weights of the signals, then the bias: the logit of being in scope
  double scope_threshold = 0;                     // below this probability of being in scope: out of scope
  double sure_threshold = 1;                      // from this confidence on: sure
  double choice_share = 1;                        // choices are taken until their shares sum up to this
  bool several = false;  // intents are independent (logistic, not softmax): a text may have several
};

inline constexpr int kShownIntents = 5;

struct Verdict {
  Outcome outcome = Outcome::kOutOfScope;
  double in_scope = 0;
  double confidence = 0;  // that the first intent is right, and the text in scope
  int shown = 0;
  std::array<std::int32_t, kShownIntents> intent{};  // the likeliest first; of equal ones that with the smaller number
  std::array<double, kShownIntents> chance{};        // of each, that it is meant
  int choices = 0;                                   // how many of the first to offer when asking back
};

Verdict decide(const Decision& decision, const float* logits, std::int64_t intents, const UnseenShare& unseen);

// The model's scores of a text, decided. A text without a single token is about nothing: every probability is 0.
Verdict judge(const IntentModel& model, const Decision& decision, const NormalizedText& text,
              const std::vector<Token>& tokens);

}  // namespace ecocore
