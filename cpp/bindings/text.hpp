// Python text to code points, and the text that several native objects read after it was prepared once.
#pragma once

#include <string>
#include <vector>

#include "bindings/pybind11.hpp"
#include "ecocore/text.hpp"

namespace ecocore::bindings {

// The code points of a str as they are, lone surrogates included: offsets stay those of Python.
inline std::u32string code_points(const py::handle& text) {
  if (!PyUnicode_Check(text.ptr())) throw py::type_error("expected str");
  const auto size = static_cast<std::size_t>(PyUnicode_GET_LENGTH(text.ptr()));
  const void* data = PyUnicode_DATA(text.ptr());
  switch (PyUnicode_KIND(text.ptr())) {
    case PyUnicode_1BYTE_KIND: {
      const auto* p = static_cast<const Py_UCS1*>(data);
      return {p, p + size};
    }
    case PyUnicode_2BYTE_KIND: {
      const auto* p = static_cast<const Py_UCS2*>(data);
      return {p, p + size};
    }
    default: {
      const auto* p = static_cast<const Py_UCS4*>(data);
      return {p, p + size};
    }
  }
}

inline std::vector<std::u32string> code_points(const py::list& texts) {
  std::vector<std::u32string> out;
  out.reserve(texts.size());
  for (const py::handle& t : texts) out.push_back(code_points(t));
  return out;
}

inline py::str to_str(const std::u32string& s) {
  PyObject* out = PyUnicode_FromKindAndData(PyUnicode_4BYTE_KIND, s.data(), static_cast<Py_ssize_t>(s.size()));
  if (!out) throw py::error_already_set();
  return py::reinterpret_steal<py::str>(out);
}

struct PreparedText {
  std::u32string source;
  NormalizedText normal;
  std::vector<Token> tokens;

  explicit PreparedText(std::u32string text) : source(std::move(text)), normal(normalize(source)) {
    tokens = tokenize(normal);
  }
};

}  // namespace ecocore::bindings
