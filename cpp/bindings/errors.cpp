// The whole exception map between C++ and Python. The Python classes live in ecocore/errors.py.
#include "ecocore/error.hpp"

#include <new>

#include "bindings/pybind11.hpp"

namespace ecocore::bindings {
namespace {

void raise(const char* cls, const char* message) {
  py::object type = py::module_::import("ecocore.errors").attr(cls);
  PyErr_SetString(type.ptr(), message);
}

}  // namespace

void bind_errors(py::module_&) {
  py::register_exception_translator([](std::exception_ptr p) {
    try {
      if (p) std::rethrow_exception(p);
    } catch (const InvalidArgument& e) {
      raise("InvalidArgument", e.what());
    } catch (const DeviceUnavailable& e) {
      raise("DeviceUnavailable", e.what());
    } catch (const Interrupted&) {
      PyErr_SetNone(PyExc_KeyboardInterrupt);
    } catch (const std::bad_alloc&) {
      PyErr_SetString(PyExc_MemoryError, "ecocore could not allocate the memory this call needs");
    }
  });
}

}  // namespace ecocore::bindings
