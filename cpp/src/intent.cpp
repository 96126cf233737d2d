#include "ecocore/intent.hpp"

#include <algorithm>
#include <cmath>
#include <compare>
#include <unordered_map>
#include <unordered_set>

#include "ecocore/error.hpp"
#include "ecocore/parallel.hpp"
#include "kernels/table.hpp"

namespace ecocore {

// ---- Featurizer ----

Featurizer::Featurizer(const std::uint32_t* keys, const float* idf, std::int64_t count, float meaning_gain)
    : index_(keys, count), idf_(idf, idf + count), meaning_gain_(meaning_gain) {}

void Featurizer::weigh(const std::vector<Ngram>& ngrams, std::vector<SparseEntry>& out, UnseenShare& unseen) const {
  out.clear();
  unseen = {};
  struct Found {
    std::int32_t row;
    std::uint8_t group;
    auto operator<=>(const Found&) const = default;  // two groups may meet in one row: their hashes collide
  };
  thread_local std::vector<Found> found;
  found.clear();
  std::int64_t total[kNgramGroups] = {}, missing[kNgramGroups] = {};
  for (const Ngram& n : ngrams) {
    const std::int32_t r = row(n.hash);
    ++total[n.group];
    if (r < 0)
      ++missing[n.group];
    else
      found.push_back({r, n.group});
  }
  std::sort(found.begin(), found.end());
  double squares[kNgramGroups] = {};
  thread_local std::vector<std::uint8_t> groups;
  groups.clear();
  for (std::size_t i = 0; i < found.size();) {
    std::size_t next = i + 1;
    while (next < found.size() && found[next].row == found[i].row) ++next;
    const auto count = static_cast<float>(next - i);
    const float weight = (next - i == 1 ? 1.0f : 1.0f + std::log(count)) * idf_[static_cast<std::size_t>(found[i].row)];
    out.push_back({found[i].row, weight});
    groups.push_back(found[i].group);
    squares[found[i].group] += static_cast<double>(weight) * static_cast<double>(weight);
    i = next;
  }
  float scale[kNgramGroups];
  for (int g = 0; g < kNgramGroups; ++g) {
    const double gain = g == kMeanings ? static_cast<double>(meaning_gain_) : 1.0;
    scale[g] = squares[g] > 0 ? static_cast<float>(gain / std::sqrt(squares[g])) : 0.0f;
    unseen.of[g] = total[g] == 0 ? 0.0f : static_cast<float>(missing[g]) / static_cast<float>(total[g]);
  }
  for (std::size_t i = 0; i < out.size(); ++i) out[i].weight *= scale[groups[i]];
}

Vocabulary build_vocabulary(const std::vector<std::u32string>& texts, std::int32_t min_texts,
                            const std::vector<std::string>& meanings, int threads) {
  std::vector<std::vector<std::uint32_t>> hashes(texts.size());  // of each text, without doubles
  parallel_for(0, static_cast<std::int64_t>(texts.size()), 64, threads, [&](std::int64_t from, std::int64_t to, int) {
    std::vector<Ngram> ngrams;
    for (std::int64_t i = from; i < to; ++i) {
      const NormalizedText text = normalize(texts[static_cast<std::size_t>(i)]);
      extract_ngrams(text, tokenize(text), !meanings.empty(), ngrams);
      auto& own = hashes[static_cast<std::size_t>(i)];
      own.reserve(ngrams.size());
      for (const Ngram& n : ngrams) own.push_back(n.hash);
      std::sort(own.begin(), own.end());
      own.erase(std::unique(own.begin(), own.end()), own.end());
    }
  });
  std::vector<std::uint32_t> all;
  for (const auto& own : hashes) all.insert(all.end(), own.begin(), own.end());
  std::sort(all.begin(), all.end());

  Vocabulary v;
  std::vector<std::uint32_t> meaning_keys;
  std::unordered_set<std::uint32_t> taken;
  for (const std::string& word : meanings) {
    const std::uint32_t key = murmur3_32(word.data(), word.size(), kMeanings);
    if (taken.insert(key).second) meaning_keys.push_back(key);
  }
  std::unordered_map<std::uint32_t, std::int32_t> meaning_frequency;
  for (std::size_t i = 0; i < all.size();) {
    std::size_t next = i + 1;
    while (next < all.size() && all[next] == all[i]) ++next;
    const auto frequency = static_cast<std::int32_t>(next - i);
    if (taken.contains(all[i])) {
      meaning_frequency[all[i]] = frequency;
    } else if (frequency >= min_texts) {
      v.keys.push_back(all[i]);
      v.frequencies.push_back(frequency);
    }
    i = next;
  }
  v.ngrams = static_cast<std::int64_t>(v.keys.size());
  for (const std::uint32_t key : meaning_keys) {
    v.keys.push_back(key);
    const auto at = meaning_frequency.find(key);
    v.frequencies.push_back(at == meaning_frequency.end() ? 0 : at->second);
  }
  return v;
}

// ---- IntentModel ----

IntentModel::IntentModel(Featurizer featurizer, MatrixView<const std::int8_t> codes, const float* scales,
                         MatrixView<const float> projection, const float* bias, MatrixView<const float> output,
                         const float* output_bias)
    : featurizer_(std::move(featurizer)),
      codes_(codes),
      scales_(scales),
      projection_(projection),
      bias_(bias),
      output_(output),
      output_bias_(output_bias) {
  require(codes.rows == featurizer_.rows() && codes.cols == projection.rows,
          "codes: expected a row for each n-gram and a column for each row of the projection");
  require(projection.cols == output.rows, "projection: expected a column for each hidden unit");
}

void IntentModel::bag(const std::vector<SparseEntry>& entries, float* hidden) const {
  const NluKernels& kernel = kernels().nlu;
  thread_local std::vector<float> sum;
  sum.assign(static_cast<std::size_t>(codes_.cols), 0.0f);
  for (const SparseEntry& e : entries)
    kernel.axpy_i8(e.weight * scales_[e.row], codes_.row(e.row), sum.data(), codes_.cols);
  std::copy(bias_, bias_ + this->hidden(), hidden);
  for (std::int64_t r = 0; r < codes_.cols; ++r)
    kernel.axpy(sum[static_cast<std::size_t>(r)], projection_.row(r), hidden, this->hidden());
}

void IntentModel::encode(const NormalizedText& text, const std::vector<Token>& tokens, float* hidden,
                         UnseenShare& unseen) const {
  thread_local std::vector<Ngram> ngrams;
  thread_local std::vector<SparseEntry> entries;
  extract_ngrams(text, tokens, featurizer_.meanings(), ngrams);
  featurizer_.weigh(ngrams, entries, unseen);
  bag(entries, hidden);
  for (std::int64_t k = 0; k < this->hidden(); ++k) hidden[k] = hidden[k] > 0 ? hidden[k] : 0.0f;
}

void IntentModel::score(const NormalizedText& text, const std::vector<Token>& tokens, float* logits,
                        UnseenShare& unseen) const {
  thread_local std::vector<float> units;
  units.resize(static_cast<std::size_t>(hidden()));
  encode(text, tokens, units.data(), unseen);
  const auto axpy = kernels().nlu.axpy;
  std::copy(output_bias_, output_bias_ + intents(), logits);
  for (std::int64_t k = 0; k < hidden(); ++k)
    if (units[static_cast<std::size_t>(k)] > 0)
      axpy(units[static_cast<std::size_t>(k)], output_.row(k), logits, intents());
}

std::vector<Contribution> IntentModel::explain(const NormalizedText& text, const std::vector<Token>& tokens,
                                               std::int64_t intent) const {
  require(intent >= 0 && intent < intents(), "intent: expected the number of an intent of this model");
  std::vector<Ngram> ngrams;
  std::vector<SparseEntry> entries;
  UnseenShare unseen;
  extract_ngrams(text, tokens, featurizer_.meanings(), ngrams);
  featurizer_.weigh(ngrams, entries, unseen);
  std::vector<float> units(static_cast<std::size_t>(hidden()));
  bag(entries, units.data());
  std::vector<double> effect(static_cast<std::size_t>(codes_.cols), 0.0);  // of a unit of the sum, on the logit
  for (std::int64_t k = 0; k < hidden(); ++k) {
    if (!(units[static_cast<std::size_t>(k)] > 0)) continue;
    for (std::int64_t r = 0; r < codes_.cols; ++r)
      effect[static_cast<std::size_t>(r)] +=
          static_cast<double>(projection_.row(r)[k]) * static_cast<double>(output_.row(k)[intent]);
  }
  const std::vector<std::string> strings = ngram_strings(text, tokens, featurizer_.meanings());
  std::unordered_map<std::int32_t, std::size_t> first;
  for (std::size_t i = 0; i < ngrams.size(); ++i) first.try_emplace(featurizer_.row(ngrams[i].hash), i);
  std::vector<Contribution> out;
  for (const SparseEntry& e : entries) {
    double sum = 0;
    for (std::int64_t r = 0; r < codes_.cols; ++r) sum += effect[static_cast<std::size_t>(r)] * codes_.row(e.row)[r];
    const std::size_t i = first.at(e.row);
    out.push_back({strings[i], text.begin[static_cast<std::size_t>(ngrams[i].begin)],
                   text.end[static_cast<std::size_t>(ngrams[i].end - 1)],
                   static_cast<float>(sum * static_cast<double>(e.weight * scales_[e.row]))});
  }
  std::stable_sort(out.begin(), out.end(), [](const Contribution& a, const Contribution& b) {
    return std::fabs(a.logit) > std::fabs(b.logit);
  });
  return out;
}

}  // namespace ecocore
