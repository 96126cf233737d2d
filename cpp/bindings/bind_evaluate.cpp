#include <algorithm>
#include <optional>

#include "bindings/arrays.hpp"
#include "ecocore/evaluate.hpp"

namespace ecocore::bindings {
namespace {

MatrixView<const std::int64_t> ids_view(const Int64Array& a, const char* name) {
  require_ndim(a, 2, name);
  return {a.data(), a.shape(0), a.shape(1)};
}

// Every entry of `a` lies in [low, high).
void require_range(const Int64Array& a, std::int64_t low, std::int64_t high, const char* name) {
  const auto [least, most] = std::minmax_element(a.data(), a.data() + a.size());
  if (a.size() > 0 && (*least < low || *most >= high))
    throw InvalidArgument(std::string(name) + ": expected ids from " + std::to_string(low) + " to " +
                          std::to_string(high - 1) + "; got " + std::to_string(*least < low ? *least : *most));
}

void require_rows(std::int64_t got, std::int64_t expected, const char* name) {
  if (got != expected)
    throw InvalidArgument(std::string(name) + ": expected one row per user (" + std::to_string(expected) + "), got " +
                          std::to_string(got));
}

py::tuple ranking_metrics_of(const Int64Array& ids, const Int64Array& indptr, const Int32Array& indices,
                             const std::optional<Int64Array>& exclude_indptr,
                             const std::optional<Int32Array>& exclude_indices, std::int64_t cols, std::int64_t k,
                             bool truncated, int threads) {
  const auto ranked = ids_view(ids, "ids");
  const CsrView relevant = csr_view(indptr, indices, nullptr, cols, "relevant");
  require_rows(relevant.rows, ranked.rows, "relevant");
  if (k < 1 || k > ranked.cols)
    throw InvalidArgument("k: expected 1 to " + std::to_string(ranked.cols) + " (the columns of ids), got " +
                          std::to_string(k));
  std::optional<CsrView> exclude;
  if (exclude_indptr && exclude_indices) {
    exclude = csr_view(*exclude_indptr, *exclude_indices, nullptr, cols, "exclude");
    require_rows(exclude->rows, ranked.rows, "exclude");
  }
  py::array_t<double> metrics({static_cast<py::ssize_t>(kMetrics), static_cast<py::ssize_t>(ranked.rows)});
  std::vector<std::uint8_t> recommended(static_cast<std::size_t>(cols), 0);
  double* out = metrics.mutable_data();
  {
    ReleaseGil release;
    ranking_metrics(ranked, relevant, {k, truncated, exclude ? &*exclude : nullptr, threads}, out, recommended.data());
  }
  return py::make_tuple(std::move(metrics), own(std::move(recommended), {static_cast<py::ssize_t>(cols)}));
}

py::array_t<double> score_candidates_of(const FloatArray& user_factors, const FloatArray& item_factors,
                                        const Int64Array& users, const Int64Array& items, int threads) {
  const auto by_user = matrix_view(user_factors, "user_factors");
  const auto by_item = matrix_view(item_factors, "item_factors");
  const auto candidates = ids_view(items, "items");
  if (by_user.cols != by_item.cols)
    throw InvalidArgument("user_factors: expected " + std::to_string(by_item.cols) +
                          " columns, as item_factors has, got " + std::to_string(by_user.cols));
  require_ndim(users, 1, "users");
  require_rows(users.size(), candidates.rows, "users");
  require_range(users, 0, by_user.rows, "users");
  require_range(items, -1, by_item.rows, "items");
  py::array_t<double> scores({items.shape(0), items.shape(1)});
  double* out = scores.mutable_data();
  ReleaseGil release;
  score_candidates(by_user, by_item, users.data(), candidates, threads, out);
  return scores;
}

py::array_t<std::int64_t> candidate_ranks_of(const Int64Array& items, const DoubleArray& scores, bool ties_favour_test,
                                             int threads) {
  const auto candidates = ids_view(items, "items");
  require_ndim(scores, 2, "scores");
  if (scores.shape(0) != items.shape(0) || scores.shape(1) != items.shape(1) || candidates.cols < 1)
    throw InvalidArgument("scores: expected one score per item");
  py::array_t<std::int64_t> ranks(items.shape(0));
  std::int64_t* out = ranks.mutable_data();
  const MatrixView<const double> view{scores.data(), candidates.rows, candidates.cols};
  ReleaseGil release;
  candidate_ranks(candidates, view, ties_favour_test, threads, out);
  return ranks;
}

py::tuple recommend_popular_of(const Int64Array& order, const FloatArray& score, const Int64Array& indptr,
                               const Int32Array& indices, const std::optional<FloatArray>& data, bool repeat,
                               std::int64_t k, int threads) {
  require_ndim(order, 1, "order");
  require_ndim(score, 1, "score");
  require_range(order, 0, score.size(), "order");
  const CsrView history = csr_view(indptr, indices, data ? &*data : nullptr, score.size(), "user_items");
  if (k < 1) throw InvalidArgument("k: expected at least 1, got " + std::to_string(k));
  py::array_t<std::int64_t> ids({static_cast<py::ssize_t>(history.rows), static_cast<py::ssize_t>(k)});
  py::array_t<float> scores({static_cast<py::ssize_t>(history.rows), static_cast<py::ssize_t>(k)});
  std::int64_t* ids_out = ids.mutable_data();
  float* scores_out = scores.mutable_data();
  {
    ReleaseGil release;
    recommend_popular({order.data(), order.size(), score.data()}, history, repeat, k, threads, ids_out, scores_out);
  }
  return py::make_tuple(std::move(ids), std::move(scores));
}

}  // namespace

void bind_evaluate(py::module_& m) {
  const auto noconvert = [](const char* name) { return py::arg(name).noconvert(); };
  m.def("ranking_metrics", &ranking_metrics_of, noconvert("ids"), noconvert("indptr"), noconvert("indices"),
        noconvert("exclude_indptr"), noconvert("exclude_indices"), "cols"_a, "k"_a, "truncated"_a, "num_threads"_a = 0);
  m.def("score_candidates", &score_candidates_of, noconvert("user_factors"), noconvert("item_factors"),
        noconvert("users"), noconvert("items"), "num_threads"_a = 0);
  m.def("candidate_ranks", &candidate_ranks_of, noconvert("items"), noconvert("scores"), "ties_favour_test"_a,
        "num_threads"_a = 0);
  m.def("recommend_popular", &recommend_popular_of, noconvert("order"), noconvert("score"), noconvert("indptr"),
        noconvert("indices"), noconvert("data"), "repeat"_a, "k"_a, "num_threads"_a = 0);
}

}  // namespace ecocore::bindings
