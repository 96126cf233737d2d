#include <optional>
#include <variant>

#include "bindings/arrays.hpp"
#include "ecocore/topk.hpp"

namespace ecocore::bindings {
namespace {

using Items = std::optional<std::variant<Int32Array, BoolArray>>;  // rising ids, or a mask
using Pattern = std::optional<std::pair<Int64Array, Int32Array>>;  // indptr and indices, a row per query

std::optional<ItemSet> item_set(const Items& x, std::int64_t items, const char* name) {
  if (!x) return {};
  if (const auto* ids = std::get_if<Int32Array>(&*x)) {
    require_ndim(*ids, 1, name);
    return ItemSet{nullptr, ids->data(), ids->size()};
  }
  const auto& mask = std::get<BoolArray>(*x);
  require_ndim(mask, 1, name);
  if (mask.size() != items)
    throw InvalidArgument(std::string(name) + ": expected a mask of " + std::to_string(items) + " items, got " +
                          std::to_string(mask.size()));
  return ItemSet{mask.data(), nullptr, 0};
}

std::optional<CsrView> pattern(const Pattern& x, std::int64_t items, const char* name) {
  if (!x) return {};
  return csr_view(x->first, x->second, nullptr, items, name);
}

py::tuple search(const TopKIndex& index, const FloatArray& queries, std::int64_t k, const Items& allow,
                 const Items& deny, const Pattern& candidates, const Pattern& exclude, int threads) {
  const auto q = matrix_view(queries, "queries");
  const TopKFilter filter{item_set(allow, index.items(), "allow"), item_set(deny, index.items(), "deny"),
                          pattern(candidates, index.items(), "allow"), pattern(exclude, index.items(), "exclude")};
  require(k >= 1 && k <= index.items(),
          "k: expected 1 to the number of items (" + std::to_string(index.items()) + "), got " + std::to_string(k));
  Int64Array ids({q.rows, k});
  FloatArray scores({q.rows, k});
  std::int64_t* id_data = ids.mutable_data();
  float* score_data = scores.mutable_data();
  SignalPoll poll;
  {
    ReleaseGil release;
    index.search(q, k, filter, threads, id_data, score_data, std::ref(poll));
  }
  return py::make_tuple(std::move(ids), std::move(scores));
}

}  // namespace

void bind_topk(py::module_& m) {
  py::class_<TopKIndex>(m, "TopKIndex")
      .def(py::init([](const FloatArray& factors, const std::optional<FloatArray>& bias, int threads) {
             const auto f = matrix_view(factors, "item_factors");
             if (bias && (bias->ndim() != 1 || bias->size() != f.rows))
               throw InvalidArgument("bias: expected " + std::to_string(f.rows) + " values, got " +
                                     std::to_string(bias->size()));
             const float* b = bias ? bias->data() : nullptr;
             ReleaseGil release;
             return std::make_unique<TopKIndex>(f, b, threads);
           }),
           py::arg("factors").noconvert(), py::arg("bias").noconvert(), "num_threads"_a, py::keep_alive<1, 2>(),
           py::keep_alive<1, 3>())
      .def("search", &search, py::arg("queries").noconvert(), "k"_a, py::kw_only(), py::arg("allow").noconvert(),
           py::arg("deny").noconvert(), py::arg("candidates").noconvert(), py::arg("exclude").noconvert(),
           "num_threads"_a);
}

}  // namespace ecocore::bindings
