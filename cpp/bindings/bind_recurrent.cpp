#include <memory>
#include <optional>

#include "bindings/arrays.hpp"
#include "ecocore/recurrent.hpp"

namespace ecocore::bindings {
namespace {

using Layer = std::tuple<FloatArray, FloatArray, std::optional<FloatArray>>;   // W, R, B
using Table = std::tuple<py::array, std::optional<FloatArray>, std::int64_t>;  // embedding, its scales, offset

// float32 or float16, or int8 with a scale for each row.
NumberView number_view(const py::array& a, const std::optional<FloatArray>& scale) {
  const auto is = [&](char kind, py::ssize_t size) { return a.dtype().kind() == kind && a.itemsize() == size; };
  const bool codes = is('i', 1);
  if (a.ndim() != 2 || !(a.flags() & py::array::c_style) || !(is('f', 4) || is('f', 2) || codes) ||
      codes != scale.has_value() || (scale && (scale->ndim() != 1 || scale->size() != a.shape(0))))
    throw InvalidArgument(
        "embedding: expected a C-ordered matrix of float32 or float16, or of int8 with a float32 scale for each row");
  const Number type = codes ? Number::kInt8 : is('f', 2) ? Number::kFloat16 : Number::kFloat32;
  return {type, a.data(), scale ? scale->data() : nullptr, a.shape(0), a.shape(1)};
}

std::unique_ptr<RecurrentNet> make(const std::string& cell, const std::vector<Layer>& layers,
                                   const std::vector<Table>& tables, const std::optional<FloatArray>& query,
                                   const std::optional<FloatArray>& query_bias, std::int64_t table_bytes, int threads) {
  std::vector<LayerWeights> weights;
  for (const auto& [w, r, b] : layers) {
    weights.push_back({matrix_view(w, "W"), matrix_view(r, "R"), b ? b->data() : nullptr});
    if (b && b->size() != 2 * w.shape(0))
      throw InvalidArgument("B: expected " + std::to_string(2 * w.shape(0)) + " values; got " +
                            std::to_string(b->size()));
  }
  std::vector<EventTable> events;
  for (const auto& [embedding, scale, offset] : tables) events.push_back({number_view(embedding, scale), offset});
  LinearWeights linear;
  if (query) linear.weights = matrix_view(*query, "query");
  if (query_bias) {
    if (query_bias->size() != linear.weights.rows)
      throw InvalidArgument("query_bias: expected " + std::to_string(linear.weights.rows) + " values; got " +
                            std::to_string(query_bias->size()));
    linear.bias = query_bias->data();
  }
  const Cell kind = parse_cell(cell);
  ReleaseGil release;
  return std::make_unique<RecurrentNet>(kind, weights, events, linear, table_bytes, threads);
}

void require_states(const FloatArray& states, const RecurrentNet& net, std::int64_t rows, const char* name) {
  require_ndim(states, 3, name);
  if (states.shape(0) != rows || states.shape(1) != net.layers() || states.shape(2) != net.hidden())
    throw InvalidArgument(std::string(name) + ": expected shape (" + std::to_string(rows) + ", " +
                          std::to_string(net.layers()) + ", " + std::to_string(net.hidden()) + ")");
}

}  // namespace

void bind_recurrent(py::module_& m) {
  const auto noconvert = [](const char* name) { return py::arg(name).noconvert(); };
  py::class_<RecurrentNet>(m, "RecurrentNet")
      .def(py::init(&make), "cell"_a, noconvert("layers"), noconvert("tables"), noconvert("query"),
           noconvert("query_bias"), "table_bytes"_a, "num_threads"_a)
      .def_property_readonly("layers", &RecurrentNet::layers)
      .def_property_readonly("hidden", &RecurrentNet::hidden)
      .def_property_readonly("query_size", &RecurrentNet::query_size)
      .def_property_readonly("query_is_state", &RecurrentNet::query_is_state)
      .def_property_readonly("projected", &RecurrentNet::projected)
      .def_property_readonly("table_memory", &RecurrentNet::table_memory)
      .def(
          "advance",
          [](const RecurrentNet& net, const Int64Array& indptr, const std::vector<Int32Array>& ids, FloatArray& h,
             std::optional<FloatArray>& c, int threads) {
            require_ndim(indptr, 1, "indptr");
            Events events{indptr.size() - 1, indptr.data(), {}};
            require(events.rows >= 0 && indptr.data()[0] == 0, "indptr: expected rows + 1 entries that begin with 0");
            for (std::int64_t i = 0; i < events.rows; ++i)
              require(indptr.data()[i] <= indptr.data()[i + 1], "indptr: expected entries that never fall");
            for (const Int32Array& a : ids) {
              require_ndim(a, 1, "ids");
              require(a.size() == indptr.data()[events.rows], "ids: expected as many entries as indptr ends with");
              events.ids.push_back(a.data());
            }
            require_states(h, net, events.rows, "h");
            require((net.cell() == Cell::kLstm) == c.has_value(), "c: expected for an LSTM, and only for one");
            if (c) require_states(*c, net, events.rows, "c");
            float* hp = h.mutable_data();
            float* cp = c ? c->mutable_data() : nullptr;
            SignalPoll poll;
            ReleaseGil release;
            net.advance(events, hp, cp, threads, [&] { poll(); });
          },
          noconvert("indptr"), noconvert("ids"), noconvert("h"), noconvert("c"), "num_threads"_a = 0)
      .def(
          "query",
          [](const RecurrentNet& net, const FloatArray& h, int threads) {
            require_ndim(h, 3, "h");
            require_states(h, net, h.shape(0), "h");
            FloatArray out({h.shape(0), static_cast<py::ssize_t>(net.query_size())});
            float* to = out.mutable_data();
            std::optional<ReleaseGil> release;
            if (2 * net.hidden() * out.size() > kFewOperations) release.emplace();
            net.query(h.shape(0), h.data(), to, threads);
            release.reset();
            return out;
          },
          noconvert("h"), "num_threads"_a = 0);
}

}  // namespace ecocore::bindings
