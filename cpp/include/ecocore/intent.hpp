// Text to intents: a bag of hashed n-grams through one hidden layer.
//
//   x = weights of the n-grams: (1 + ln count) * idf, each group of n-grams scaled to length 1 (kMeanings: to its gain)
//   hidden = max(0, bias + (sum_i x_i E_i) P),   logit = output_bias + hidden W
//
// The table E is narrower than the hidden layer, and kept as int8 codes with one scale a row, for it is nearly all of a
// model. Sums run in the order of the rows, so that alone equals in a batch and every instruction set gives the same
// bits.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "ecocore/key_index.hpp"
#include "ecocore/ngrams.hpp"
#include "ecocore/views.hpp"

namespace ecocore {

struct SparseEntry {
  std::int32_t row;
  float weight;
};

// Of the n-grams of the text, by group, the share (0..1) that the vocabulary does not hold; 0 where there are none.
struct UnseenShare {
  float of[kNgramGroups] = {};
};

// n-grams to rows with weights. The arrays are copied.
class Featurizer {
 public:
  // keys: hashes, all different; idf: a weight each; meaning_gain: 0 leaves the group kMeanings out.
  Featurizer(const std::uint32_t* keys, const float* idf, std::int64_t count, float meaning_gain);

  std::int64_t rows() const { return static_cast<std::int64_t>(idf_.size()); }
  bool meanings() const { return meaning_gain_ > 0; }
  std::int32_t row(std::uint32_t hash) const { return index_.row(hash); }  // -1: not in the vocabulary

  // Rows rise. `ngrams` is what extract_ngrams() made with meanings().
  void weigh(const std::vector<Ngram>& ngrams, std::vector<SparseEntry>& out, UnseenShare& unseen) const;

 private:
  KeyIndex index_;
  std::vector<float> idf_;
  float meaning_gain_;
};

struct Vocabulary {
  std::vector<std::uint32_t> keys;        // rising within the n-gram groups, then those of the meanings, in their order
  std::vector<std::int32_t> frequencies;  // number of texts that hold it
  std::int64_t ngrams = 0;                // how many of the keys are not meanings
};

// The n-grams that stand in at least `min_texts` texts, then `meanings` (words; doubles are dropped).
Vocabulary build_vocabulary(const std::vector<std::u32string>& texts, std::int32_t min_texts,
                            const std::vector<std::string>& meanings, int threads);

struct Contribution {
  std::string ngram;
  std::int32_t begin, end;  // code points of the source, where the n-gram first stands
  float logit;  // what it adds to the intent's logit; these, output bias and hidden biases make up the whole
};

class IntentModel {
 public:
  // codes [rows, rank], scales [rows], projection [rank, hidden], bias [hidden], output [hidden, intents], output_bias
  // [intents]. The views must outlive the model.
  IntentModel(Featurizer featurizer, MatrixView<const std::int8_t> codes, const float* scales,
              MatrixView<const float> projection, const float* bias, MatrixView<const float> output,
              const float* output_bias);

  std::int64_t hidden() const { return output_.rows; }
  std::int64_t intents() const { return output_.cols; }
  const Featurizer& featurizer() const { return featurizer_; }

  void score(const NormalizedText& text, const std::vector<Token>& tokens, float* logits, UnseenShare& unseen) const;

  // The hidden layer, for comparing texts.
  void encode(const NormalizedText& text, const std::vector<Token>& tokens, float* hidden, UnseenShare& unseen) const;

  // Contributions of every n-gram in the vocabulary to one intent, largest magnitude first. Exact: with the hidden
  // units that are active for this text, the logit is linear in the n-grams.
  std::vector<Contribution> explain(const NormalizedText& text, const std::vector<Token>& tokens,
                                    std::int64_t intent) const;

 private:
  void bag(const std::vector<SparseEntry>& entries, float* hidden) const;  // before max(0, ...)

  Featurizer featurizer_;
  MatrixView<const std::int8_t> codes_;
  const float* scales_;
  MatrixView<const float> projection_;
  const float* bias_;
  MatrixView<const float> output_;
  const float* output_bias_;
};

// ---- training ----

struct IntentTraining {
  std::int64_t hidden = 128;
  int epochs = 15;
  int batch = 32;           // examples between two steps of the dense parameters; the table steps every example
  float table_rate = 0.1f;  // AdaGrad; both rates fall linearly to zero
  float dense_rate = 0.02f;
  float ngram_dropout = 0.3f;
  float hidden_dropout = 0.3f;
  float smoothing = 0.0f;  // of the targets
  std::uint64_t seed = 0;
};

struct IntentWeights {
  std::vector<float> table;        // [rows, hidden]
  std::vector<float> projection;   // [dense columns, hidden]
  std::vector<float> bias;         // [hidden]
  std::vector<float> output;       // [hidden, intents]
  std::vector<float> output_bias;  // [intents]
};

// Minimises the mean over examples of the sum over intents of the logistic loss (one against the rest, so that an
// example without a label, out of scope, is an example of none, and one with several is an example of each). features:
// weights of n-grams; labels: rows of intents (pattern only), any number a row; dense: further inputs, or null. Trains
// `members` models that differ in their seed (options.seed + member), side by side on up to `threads` threads; the
// result does not depend on `threads`. `poll` runs on every thread, about once a batch, and may throw.
std::vector<IntentWeights> train_intents(const CsrView& features, const CsrView& labels,
                                         const MatrixView<const float>& dense, const IntentTraining& options,
                                         std::int64_t members, int threads, const std::function<void()>& poll);

}  // namespace ecocore
