#include <optional>

#include "bindings/arrays.hpp"
#include "ecocore/csr.hpp"

namespace ecocore::bindings {
namespace {

CsrView view(const Int64Array& indptr, const Int32Array& indices, const std::optional<FloatArray>& data,
             std::int64_t cols, const std::string& name) {
  return csr_view(indptr, indices, data ? &*data : nullptr, cols, name.c_str());
}

py::tuple to_python(OwnedCsr&& m, bool with_data) {
  const auto rows = static_cast<py::ssize_t>(m.indptr.size());
  const auto nnz = static_cast<py::ssize_t>(m.indices.size());
  py::object data = with_data ? py::object(own(std::move(m.data), {nnz})) : py::none();
  return py::make_tuple(own(std::move(m.indptr), {rows}), own(std::move(m.indices), {nnz}), std::move(data));
}

}  // namespace

void bind_csr(py::module_& m) {
  const auto noconvert = [](const char* name) { return py::arg(name).noconvert(); };
  m.def(
      "check_csr",
      [](const Int64Array& indptr, const Int32Array& indices, const std::optional<FloatArray>& data, std::int64_t cols,
         const std::string& name, int threads) {
        const CsrView v = view(indptr, indices, data, cols, name);
        ReleaseGil release;
        return check_csr(v, name, threads);
      },
      noconvert("indptr"), noconvert("indices"), noconvert("data"), "cols"_a, "name"_a, "num_threads"_a = 0);
  m.def(
      "sort_csr_rows",
      [](const Int64Array& indptr, const Int32Array& indices, const std::optional<FloatArray>& data, std::int64_t cols,
         int threads) {
        const CsrView v = view(indptr, indices, data, cols, "matrix");
        OwnedCsr out;
        {
          ReleaseGil release;
          out = sort_rows(v, threads);
        }
        return to_python(std::move(out), data.has_value());
      },
      noconvert("indptr"), noconvert("indices"), noconvert("data"), "cols"_a, "num_threads"_a = 0);
  m.def(
      "transpose_csr",
      [](const Int64Array& indptr, const Int32Array& indices, const std::optional<FloatArray>& data, std::int64_t cols,
         int threads) {
        const CsrView v = view(indptr, indices, data, cols, "matrix");
        OwnedCsr out;
        {
          ReleaseGil release;
          out = transpose(v, threads);
        }
        return to_python(std::move(out), data.has_value());
      },
      noconvert("indptr"), noconvert("indices"), noconvert("data"), "cols"_a, "num_threads"_a = 0);
}

}  // namespace ecocore::bindings
