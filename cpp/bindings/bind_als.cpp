#include <optional>

#include "bindings/arrays.hpp"
#include "ecocore/als.hpp"

namespace ecocore::bindings {
namespace {

AlsSolver parse_solver(const std::string& name) {
  if (name == "auto") return AlsSolver::kAuto;
  if (name == "cholesky") return AlsSolver::kCholesky;
  if (name == "cg") return AlsSolver::kCg;
  throw InvalidArgument("solver: expected 'auto', 'cholesky' or 'cg'; got '" + name + "'");
}

const double* gram_view(const DoubleArray& a, std::int64_t factors, const char* name) {
  require_ndim(a, 2, name);
  if (a.shape(0) != factors || a.shape(1) != factors)
    throw InvalidArgument(std::string(name) + ": expected shape (" + std::to_string(factors) + ", " +
                          std::to_string(factors) + "), got (" + std::to_string(a.shape(0)) + ", " +
                          std::to_string(a.shape(1)) + ")");
  return a.data();
}

const float* per_row(const FloatArray& a, std::int64_t rows, const char* name) {
  require_ndim(a, 1, name);
  if (a.size() != rows)
    throw InvalidArgument(std::string(name) + ": expected one value for each of " + std::to_string(rows) +
                          " rows, got " + std::to_string(a.size()));
  return a.data();
}

MatrixView<const float> optional_view(const std::optional<FloatArray>& a, std::int64_t rows, std::int64_t cols,
                                      const char* name) {
  if (!a) return {};
  const auto v = matrix_view(*a, name);
  if (v.rows != rows || v.cols != cols)
    throw InvalidArgument(std::string(name) + ": expected shape (" + std::to_string(rows) + ", " +
                          std::to_string(cols) + "), got (" + std::to_string(v.rows) + ", " + std::to_string(v.cols) +
                          ")");
  return v;
}

}  // namespace

void bind_als(py::module_& m) {
  const auto noconvert = [](const char* name) { return py::arg(name).noconvert(); };

  m.def(
      "als_gram",
      [](const FloatArray& factors, bool exact, int threads) {
        const auto v = matrix_view(factors, "factors");
        std::vector<double> out(static_cast<std::size_t>(v.cols * v.cols));
        {
          ReleaseGil release;
          als_gram(v, out.data(), exact, threads);
        }
        return own(std::move(out), {v.cols, v.cols});
      },
      noconvert("factors"), "exact"_a = true, "num_threads"_a = 0);

  m.def(
      "als_half_sweep",
      [](const Int64Array& indptr, const Int32Array& indices, const std::optional<FloatArray>& data,
         const FloatArray& fixed, const DoubleArray& gram, const FloatArray& regularization,
         const std::optional<FloatArray>& prior, const FloatArray& start, FloatArray& solved, float alpha,
         float weight_offset, float gram_weight, const std::string& solver, int cg_steps, int threads) {
        const auto y = matrix_view(fixed, "fixed");
        const CsrView rows = csr_view(indptr, indices, data ? &*data : nullptr, y.rows, "interactions");
        const AlsProblem problem{rows,
                                 y,
                                 gram_view(gram, y.cols, "gram"),
                                 per_row(regularization, rows.rows, "regularization"),
                                 optional_view(prior, rows.rows, y.cols, "prior"),
                                 {alpha, weight_offset, gram_weight}};
        const AlsOptions options{parse_solver(solver), cg_steps, threads};
        const auto from = matrix_view(start, "start");
        const auto to = mutable_matrix_view(solved, "solved");
        ReleaseGil release;
        als_half_sweep(problem, from, to, options, SignalPoll());
      },
      noconvert("indptr"), noconvert("indices"), noconvert("data"), noconvert("fixed"), noconvert("gram"),
      noconvert("regularization"), noconvert("prior"), noconvert("start"), noconvert("solved"), py::kw_only(),
      "alpha"_a, "weight_offset"_a, "gram_weight"_a, "solver"_a = "auto", "cg_steps"_a = 3, "num_threads"_a = 0);

  m.def(
      "als_data_loss",
      [](const Int64Array& indptr, const Int32Array& indices, const std::optional<FloatArray>& data,
         const FloatArray& user_factors, const FloatArray& item_factors, const DoubleArray& user_gram,
         const DoubleArray& item_gram, float alpha, float weight_offset, float gram_weight, int threads) {
        const auto x = matrix_view(user_factors, "user_factors");
        const auto y = matrix_view(item_factors, "item_factors");
        const CsrView rows = csr_view(indptr, indices, data ? &*data : nullptr, y.rows, "interactions");
        if (x.rows != rows.rows || x.cols != y.cols)
          throw InvalidArgument("user_factors: expected shape (" + std::to_string(rows.rows) + ", " +
                                std::to_string(y.cols) + "), got (" + std::to_string(x.rows) + ", " +
                                std::to_string(x.cols) + ")");
        const double* xx = gram_view(user_gram, x.cols, "user_gram");
        const double* yy = gram_view(item_gram, y.cols, "item_gram");
        ReleaseGil release;
        return als_data_loss(rows, x, y, xx, yy, {alpha, weight_offset, gram_weight}, threads, SignalPoll());
      },
      noconvert("indptr"), noconvert("indices"), noconvert("data"), noconvert("user_factors"),
      noconvert("item_factors"), noconvert("user_gram"), noconvert("item_gram"), py::kw_only(), "alpha"_a,
      "weight_offset"_a, "gram_weight"_a, "num_threads"_a = 0);

  m.def(
      "als_penalty",
      [](const FloatArray& factors, const FloatArray& regularization, const std::optional<FloatArray>& prior,
         int threads) {
        const auto x = matrix_view(factors, "factors");
        const float* lambda = per_row(regularization, x.rows, "regularization");
        const auto p = optional_view(prior, x.rows, x.cols, "prior");
        ReleaseGil release;
        return als_penalty(x, lambda, p, threads);
      },
      noconvert("factors"), noconvert("regularization"), noconvert("prior"), "num_threads"_a = 0);
}

}  // namespace ecocore::bindings
