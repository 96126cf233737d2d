// The house header: every binding file includes this first, none includes pybind11 on its own.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bindings/gil.hpp"

namespace ecocore::bindings {

namespace py = pybind11;
using namespace pybind11::literals;  // NOLINT: "name"_a

void bind_errors(py::module_& m);
void bind_runtime(py::module_& m);
void bind_csr(py::module_& m);
void bind_topk(py::module_& m);
void bind_evaluate(py::module_& m);
void bind_als(py::module_& m);

}  // namespace ecocore::bindings
