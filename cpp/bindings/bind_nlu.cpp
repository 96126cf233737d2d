#include <optional>

#include "bindings/arrays.hpp"
#include "bindings/text.hpp"
#include "ecocore/csr.hpp"
#include "ecocore/decision.hpp"
#include "ecocore/intent.hpp"
#include "ecocore/parallel.hpp"
#include "ecocore/tagger.hpp"
#include "ecocore/tagger_net.hpp"

namespace ecocore::bindings {
namespace {

using Uint32Array = py::array_t<std::uint32_t, py::array::c_style>;
using Int8Array = py::array_t<std::int8_t, py::array::c_style>;

template <class Array>
void require_size(const Array& a, std::int64_t size, const char* name) {
  require_ndim(a, 1, name);
  if (a.size() != size)
    throw InvalidArgument(std::string(name) + ": expected " + std::to_string(size) + " values, got " +
                          std::to_string(a.size()));
}

MatrixView<const std::int8_t> code_view(const Int8Array& codes) {
  require_ndim(codes, 2, "codes");
  return {codes.data(), codes.shape(0), codes.shape(1)};
}

Featurizer featurizer(const Uint32Array& keys, const FloatArray& idf, float meaning_gain) {
  require_ndim(keys, 1, "keys");
  require_size(idf, keys.size(), "idf");
  return {keys.data(), idf.data(), keys.size(), meaning_gain};
}

py::tuple featurize(const Featurizer& f, const py::list& texts, int threads) {
  const std::vector<std::u32string> list = code_points(texts);
  std::vector<std::vector<SparseEntry>> rows(list.size());
  std::vector<float> unseen(list.size() * kNgramGroups);
  std::vector<std::int64_t> indptr(list.size() + 1, 0);
  std::vector<std::int32_t> indices;
  std::vector<float> data;
  {
    ReleaseGil release;
    parallel_for(0, static_cast<std::int64_t>(list.size()), 64, threads, [&](std::int64_t from, std::int64_t to, int) {
      std::vector<Ngram> ngrams;
      for (std::int64_t i = from; i < to; ++i) {
        const auto at = static_cast<std::size_t>(i);
        const NormalizedText text = normalize(list[at]);
        UnseenShare share;
        extract_ngrams(text, tokenize(text), f.meanings(), ngrams);
        f.weigh(ngrams, rows[at], share);
        std::copy(share.of, share.of + kNgramGroups, unseen.begin() + i * kNgramGroups);
      }
    });
    for (std::size_t i = 0; i < rows.size(); ++i) {
      indptr[i + 1] = indptr[i] + static_cast<std::int64_t>(rows[i].size());
      for (const SparseEntry& e : rows[i]) {
        indices.push_back(e.row);
        data.push_back(e.weight);
      }
    }
  }
  const auto n = static_cast<py::ssize_t>(list.size()), nnz = static_cast<py::ssize_t>(indices.size());
  return py::make_tuple(own(std::move(indptr), {n + 1}), own(std::move(indices), {nnz}), own(std::move(data), {nnz}),
                        own(std::move(unseen), {n, kNgramGroups}));
}

py::list train(const Int64Array& indptr, const Int32Array& indices, const FloatArray& data, std::int64_t rows,
               const Int64Array& label_indptr, const Int32Array& labels, std::int64_t intents,
               const std::optional<FloatArray>& dense, const IntentTraining& options, std::int64_t members,
               int threads) {
  const CsrView x = csr_view(indptr, indices, &data, rows, "features");
  const CsrView y = csr_view(label_indptr, labels, nullptr, intents, "labels");
  const MatrixView<const float> d = dense ? matrix_view(*dense, "dense") : MatrixView<const float>{};
  std::vector<IntentWeights> trained;
  {
    ReleaseGil release;
    check_csr(x, "features", threads);
    check_csr(y, "labels", threads);
    trained = train_intents(x, y, d, options, members, threads, [] {
      thread_local SignalPoll poll;
      poll();
    });
  }
  const auto h = static_cast<py::ssize_t>(options.hidden);
  py::list out;
  for (IntentWeights& w : trained)
    out.append(py::make_tuple(own(std::move(w.table), {rows, h}), own(std::move(w.projection), {d.cols, h}),
                              own(std::move(w.bias), {h}), own(std::move(w.output), {h, intents}),
                              own(std::move(w.output_bias), {intents})));
  return out;
}

std::unique_ptr<IntentModel> intent_model(const Uint32Array& keys, const FloatArray& idf, float meaning_gain,
                                          const Int8Array& codes, const FloatArray& scales,
                                          const FloatArray& projection, const FloatArray& bias,
                                          const FloatArray& output, const FloatArray& output_bias) {
  const auto w = matrix_view(output, "output");
  require_size(scales, keys.size(), "scales");
  require_size(bias, w.rows, "bias");
  require_size(output_bias, w.cols, "output_bias");
  Featurizer f = featurizer(keys, idf, meaning_gain);
  return std::make_unique<IntentModel>(std::move(f), code_view(codes), scales.data(),
                                       matrix_view(projection, "projection"), bias.data(), w, output_bias.data());
}

py::tuple score_many(const IntentModel& model, const py::list& texts, int threads) {
  const std::vector<std::u32string> list = code_points(texts);
  const auto n = static_cast<std::int64_t>(list.size());
  std::vector<float> logits(list.size() * static_cast<std::size_t>(model.intents()));
  std::vector<float> unseen(list.size() * kNgramGroups);
  {
    ReleaseGil release;
    parallel_for(0, n, 16, threads, [&](std::int64_t from, std::int64_t to, int) {
      for (std::int64_t i = from; i < to; ++i) {
        const NormalizedText text = normalize(list[static_cast<std::size_t>(i)]);
        UnseenShare share;
        model.score(text, tokenize(text), logits.data() + i * model.intents(), share);
        std::copy(share.of, share.of + kNgramGroups, unseen.begin() + i * kNgramGroups);
      }
    });
  }
  return py::make_tuple(own(std::move(logits), {n, model.intents()}), own(std::move(unseen), {n, kNgramGroups}));
}

// (outcome, in scope, confidence, [(intent, chance), ...], number of choices)
py::tuple to_tuple(const Verdict& v) {
  py::tuple shown(v.shown);
  for (int i = 0; i < v.shown; ++i) {
    const auto at = static_cast<std::size_t>(i);
    shown[at] = py::make_tuple(v.intent[at], v.chance[at]);
  }
  return py::make_tuple(static_cast<int>(v.outcome), v.in_scope, v.confidence, std::move(shown), v.choices);
}

py::list judge_many(const IntentModel& model, const Decision& decision, const py::list& texts, int threads) {
  const std::vector<std::u32string> list = code_points(texts);
  std::vector<Verdict> verdicts(list.size());
  {
    ReleaseGil release;
    parallel_for(0, static_cast<std::int64_t>(list.size()), 16, threads, [&](std::int64_t from, std::int64_t to, int) {
      for (std::int64_t i = from; i < to; ++i) {
        const NormalizedText text = normalize(list[static_cast<std::size_t>(i)]);
        verdicts[static_cast<std::size_t>(i)] = judge(model, decision, text, tokenize(text));
      }
    });
  }
  py::list out;
  for (const Verdict& v : verdicts) out.append(to_tuple(v));
  return out;
}

DoubleArray many_scope_signals(const FloatArray& logits, const FloatArray& unseen) {
  const auto z = matrix_view(logits, "logits"), u = matrix_view(unseen, "unseen");
  if (u.rows != z.rows || u.cols != kNgramGroups)
    throw InvalidArgument("unseen: expected " + std::to_string(z.rows) + " rows of " + std::to_string(kNgramGroups) +
                          ", got " + std::to_string(u.rows) + " of " + std::to_string(u.cols));
  DoubleArray out({static_cast<py::ssize_t>(z.rows), static_cast<py::ssize_t>(kScopeSignals)});
  double* to = out.mutable_data();
  for (std::int64_t i = 0; i < z.rows; ++i, to += kScopeSignals) {
    UnseenShare share;
    std::copy(u.row(i), u.row(i) + kNgramGroups, share.of);
    const ScopeSignals signals = scope_signals(z.row(i), z.cols, share);
    std::copy(signals.begin(), signals.end(), to);
  }
  return out;
}

std::unique_ptr<TokenTable> token_table(const Uint32Array& keys, const Int8Array& codes, const FloatArray& scales) {
  const auto c = code_view(codes);
  require_size(keys, c.rows, "keys");
  require_size(scales, c.rows, "scales");
  return std::make_unique<TokenTable>(keys.data(), c, scales.data());
}

// [texts, tokens, width] of texts with the same number of tokens.
FloatArray token_vectors(const TokenTable& table, const std::vector<const PreparedText*>& texts,
                         const std::vector<std::vector<RuleSpan>>& rules) {
  require(!texts.empty() && rules.size() == texts.size(), "rules: expected a list for each of at least one text");
  const auto tokens = static_cast<py::ssize_t>(texts[0]->tokens.size());
  for (const PreparedText* t : texts)
    require(static_cast<py::ssize_t>(t->tokens.size()) == tokens, "texts: expected the same number of tokens in each");
  FloatArray out({static_cast<py::ssize_t>(texts.size()), tokens, static_cast<py::ssize_t>(table.width())});
  float* to = out.mutable_data();
  ReleaseGil release;
  for (std::size_t i = 0; i < texts.size(); ++i, to += tokens * table.width())
    table.vectors(texts[i]->source, texts[i]->normal, texts[i]->tokens, rules[i], to);
  return out;
}

std::unique_ptr<TaggerNet> tagger_net(const FloatArray& input, const FloatArray& recurrent, const FloatArray& bias,
                                      const FloatArray& output, const FloatArray& output_bias) {
  require_ndim(input, 3, "input");
  require_ndim(recurrent, 3, "recurrent");
  require_ndim(bias, 2, "bias");
  require(input.shape(0) == 2 && recurrent.shape(0) == 2 && bias.shape(0) == 2,
          "input, recurrent, bias: expected two directions");
  if (bias.shape(1) != recurrent.shape(1))
    throw InvalidArgument("bias: expected " + std::to_string(recurrent.shape(1)) + " columns, got " +
                          std::to_string(bias.shape(1)));
  std::array<DirectionWeights, 2> directions;
  for (std::size_t d = 0; d < 2; ++d) {
    const auto half = [&](const FloatArray& a) {
      return MatrixView<const float>{a.data(static_cast<py::ssize_t>(d)), a.shape(1), a.shape(2)};
    };
    directions[d] = {half(input), half(recurrent), bias.data(static_cast<py::ssize_t>(d))};
  }
  const auto w = matrix_view(output, "output");
  require_size(output_bias, w.rows, "output_bias");
  return std::make_unique<TaggerNet>(directions, w, output_bias.data());
}

FloatArray net_emissions(const TaggerNet& net, const FloatArray& vectors, int threads) {
  require_ndim(vectors, 3, "vectors");
  if (vectors.shape(2) != net.width())
    throw InvalidArgument("vectors: expected " + std::to_string(net.width()) + " columns, got " +
                          std::to_string(vectors.shape(2)));
  FloatArray out({vectors.shape(0), vectors.shape(1), static_cast<py::ssize_t>(net.tags())});
  float* to = out.mutable_data();
  ReleaseGil release;
  net.emissions(vectors.shape(0), vectors.shape(1), vectors.data(), to, threads);
  return out;
}

// For each text, [(slot, first token, token after the last, log probability), ...]
py::list decode(const FloatArray& emissions) {
  require_ndim(emissions, 3, "emissions");
  const std::int64_t steps = emissions.shape(1), tags = emissions.shape(2);
  py::list out;
  for (py::ssize_t i = 0; i < emissions.shape(0); ++i) {
    py::list spans;
    for (const TaggedSpan& s : decode_bio({emissions.data() + i * steps * tags, steps, tags}))
      spans.append(py::make_tuple(s.slot, s.begin, s.end, s.log_chance));
    out.append(std::move(spans));
  }
  return out;
}

std::vector<RuleSpan> rule_spans(const py::handle& rules) {
  std::vector<RuleSpan> out;
  for (const py::handle& r : rules) {
    const auto [begin, end, tag] = r.cast<std::tuple<std::int32_t, std::int32_t, std::uint32_t>>();
    out.push_back({begin, end, tag});
  }
  return out;
}

}  // namespace

void bind_nlu(py::module_& m) {
  m.def(
      "build_vocabulary",
      [](const py::list& texts, std::int32_t min_texts, const std::vector<std::string>& meanings, int threads) {
        const std::vector<std::u32string> list = code_points(texts);
        Vocabulary v;
        {
          ReleaseGil release;
          v = build_vocabulary(list, min_texts, meanings, threads);
        }
        const auto n = static_cast<py::ssize_t>(v.keys.size());
        return py::make_tuple(own(std::move(v.keys), {n}), own(std::move(v.frequencies), {n}), v.ngrams);
      },
      "texts"_a, "min_texts"_a, "meanings"_a, "num_threads"_a = 0);
  m.def(
      "ngrams",
      [](const PreparedText& t, bool meanings) {
        std::vector<Ngram> found;
        extract_ngrams(t.normal, t.tokens, meanings, found);
        const auto strings = ngram_strings(t.normal, t.tokens, meanings);
        py::list out;
        for (std::size_t i = 0; i < found.size(); ++i)
          out.append(py::make_tuple(strings[i], int{found[i].group}, found[i].hash));
        return out;
      },
      "text"_a, "meanings"_a);

  py::class_<Featurizer>(m, "Featurizer")
      .def(py::init(&featurizer), py::arg("keys").noconvert(), py::arg("idf").noconvert(), "meaning_gain"_a)
      .def("__len__", &Featurizer::rows)
      .def("featurize", &featurize, "texts"_a, "num_threads"_a = 0);

  m.def("scope_signals", &many_scope_signals, py::arg("logits").noconvert(), py::arg("unseen").noconvert());
  py::class_<Decision>(m, "IntentDecision")
      .def(py::init([](double temperature, const std::array<double, kScopeSignals + 1>& scope, double scope_threshold,
                       double sure_threshold, double choice_share, bool several) {
             return Decision{temperature, scope, scope_threshold, sure_threshold, choice_share, several};
           }),
           "temperature"_a, "scope"_a, "scope_threshold"_a, "sure_threshold"_a, "choice_share"_a, "several"_a);
  py::class_<IntentTraining>(m, "IntentTraining")
      .def(py::init<>())
      .def_readwrite("hidden", &IntentTraining::hidden)
      .def_readwrite("epochs", &IntentTraining::epochs)
      .def_readwrite("batch", &IntentTraining::batch)
      .def_readwrite("table_rate", &IntentTraining::table_rate)
      .def_readwrite("dense_rate", &IntentTraining::dense_rate)
      .def_readwrite("ngram_dropout", &IntentTraining::ngram_dropout)
      .def_readwrite("hidden_dropout", &IntentTraining::hidden_dropout)
      .def_readwrite("smoothing", &IntentTraining::smoothing)
      .def_readwrite("seed", &IntentTraining::seed);
  m.def("train_intents", &train, py::arg("indptr").noconvert(), py::arg("indices").noconvert(),
        py::arg("data").noconvert(), "rows"_a, py::arg("label_indptr").noconvert(), py::arg("labels").noconvert(),
        "intents"_a, py::arg("dense").noconvert(), "options"_a, "members"_a = 1, "num_threads"_a = 0);

  py::class_<IntentModel>(m, "IntentModel")
      .def(py::init(&intent_model), py::arg("keys").noconvert(), py::arg("idf").noconvert(), "meaning_gain"_a,
           py::arg("codes").noconvert(), py::arg("scales").noconvert(), py::arg("projection").noconvert(),
           py::arg("bias").noconvert(), py::arg("output").noconvert(), py::arg("output_bias").noconvert(),
           py::keep_alive<1, 5>(), py::keep_alive<1, 6>(), py::keep_alive<1, 7>(), py::keep_alive<1, 8>(),
           py::keep_alive<1, 9>(), py::keep_alive<1, 10>())
      .def_property_readonly("intents", &IntentModel::intents)
      .def_property_readonly("hidden", &IntentModel::hidden)
      .def(
          "score",
          [](const IntentModel& model, const PreparedText& t) {
            FloatArray logits(model.intents()), unseen(kNgramGroups);
            float* out = logits.mutable_data();
            UnseenShare share;
            {
              ReleaseGil release;
              model.score(t.normal, t.tokens, out, share);
            }
            std::copy(share.of, share.of + kNgramGroups, unseen.mutable_data());
            return py::make_tuple(std::move(logits), std::move(unseen));
          },
          "text"_a)
      .def("score_many", &score_many, "texts"_a, "num_threads"_a = 0)
      .def(
          "judge",
          [](const IntentModel& model, const Decision& decision, const PreparedText& t) {
            Verdict v;
            {
              ReleaseGil release;
              v = judge(model, decision, t.normal, t.tokens);
            }
            return to_tuple(v);
          },
          "decision"_a, "text"_a)
      .def("judge_many", &judge_many, "decision"_a, "texts"_a, "num_threads"_a = 0)
      .def(
          "encode",
          [](const IntentModel& model, const PreparedText& t) {
            FloatArray hidden(model.hidden());
            float* out = hidden.mutable_data();
            UnseenShare share;
            ReleaseGil release;
            model.encode(t.normal, t.tokens, out, share);
            return hidden;
          },
          "text"_a)
      .def(
          "explain",
          [](const IntentModel& model, const PreparedText& t, std::int64_t intent) {
            std::vector<Contribution> parts;
            {
              ReleaseGil release;
              parts = model.explain(t.normal, t.tokens, intent);
            }
            py::list out;
            for (const Contribution& c : parts) out.append(py::make_tuple(c.ngram, c.begin, c.end, c.logit));
            return out;
          },
          "text"_a, "intent"_a);

  py::class_<TokenTable>(m, "TokenTable")
      .def(py::init(&token_table), py::arg("keys").noconvert(), py::arg("codes").noconvert(),
           py::arg("scales").noconvert(), py::keep_alive<1, 3>(), py::keep_alive<1, 4>())
      .def(
          "vectors",
          [](const TokenTable& table, const std::vector<const PreparedText*>& texts, const py::list& rules) {
            std::vector<std::vector<RuleSpan>> spans;
            for (const py::handle& r : rules) spans.push_back(rule_spans(r));
            return token_vectors(table, texts, spans);
          },
          "texts"_a, "rules"_a);
  py::class_<TaggerNet>(m, "TaggerNet")
      .def(py::init(&tagger_net), py::arg("input").noconvert(), py::arg("recurrent").noconvert(),
           py::arg("bias").noconvert(), py::arg("output").noconvert(), py::arg("output_bias").noconvert())
      .def_property_readonly("width", &TaggerNet::width)
      .def_property_readonly("tags", &TaggerNet::tags)
      .def("emissions", &net_emissions, py::arg("vectors").noconvert(), "num_threads"_a = 0);
  m.def(
      "token_features",
      [](const PreparedText& t, const py::list& rules) {
        const std::vector<RuleSpan> spans = rule_spans(rules);
        std::vector<std::uint32_t> hashes;
        {
          ReleaseGil release;
          token_features(t.source, t.normal, t.tokens, spans, hashes);
        }
        const auto n = static_cast<py::ssize_t>(t.tokens.size());
        return own(std::move(hashes), {n, kTokenFeatures});
      },
      "text"_a, "rules"_a);
  m.def("decode_bio", &decode, py::arg("emissions").noconvert());
}

}  // namespace ecocore::bindings
