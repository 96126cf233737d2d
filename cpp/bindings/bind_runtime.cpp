#include "bindings/pybind11.hpp"
#include "ecocore/isa.hpp"
#include "ecocore/parallel.hpp"

namespace ecocore::bindings {

void bind_runtime(py::module_& m) {
  m.attr("__version__") = ECOCORE_VERSION;
  m.attr("compiler") = "gcc " __VERSION__;
  m.def("available_isas", [] {
    std::vector<std::string> names;
    for (Isa isa : available_isas()) names.emplace_back(isa_name(isa));
    return names;
  });
  m.def("active_isa", [] { return std::string(isa_name(active_isa())); });
  m.def("force_isa", &force_isa, "name"_a);
  m.def("num_threads", &num_threads, "requested"_a = 0);
  m.def("set_num_threads", &set_num_threads, "n"_a);
}

}  // namespace ecocore::bindings
