#include "bindings/pybind11.hpp"

PYBIND11_MODULE(_core, m) {
  using namespace ecocore::bindings;
  m.doc() = "The native core of ecocore. Private: use the ecocore package.";
  bind_errors(m);
  bind_runtime(m);
  bind_csr(m);
  bind_topk(m);
  bind_evaluate(m);
  bind_als(m);
}
