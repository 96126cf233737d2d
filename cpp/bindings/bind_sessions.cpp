#include <algorithm>
#include <cstring>
#include <memory>
#include <numeric>
#include <optional>
#include <variant>

#include "bindings/arrays.hpp"
#include "ecocore/session_states.hpp"

namespace ecocore::bindings {
namespace {

// Users are whole numbers or text; both become bytes, told apart by the first.
std::string key_of(std::int64_t user) {
  std::string key(1 + sizeof(user), 'i');
  std::memcpy(key.data() + 1, &user, sizeof(user));
  return key;
}

// Fills `key`; or returns what was expected where the user cannot be one.
const char* make_key(py::handle user, std::string& key) {
  if (!PyLong_Check(user.ptr()) && PyIndex_Check(user.ptr())) {  // NumPy's whole numbers
    if (const auto number = py::reinterpret_steal<py::object>(PyNumber_Index(user.ptr()))) return make_key(number, key);
    PyErr_Clear();  // NumPy's bools
  }
  if (PyLong_Check(user.ptr()) && !PyBool_Check(user.ptr())) {
    const long long value = PyLong_AsLongLong(user.ptr());
    if (value == -1 && PyErr_Occurred()) {
      PyErr_Clear();
      return "a whole number of at most 64 bits (use str(user) for larger ones)";
    }
    key = key_of(static_cast<std::int64_t>(value));
    return nullptr;
  }
  if (PyUnicode_Check(user.ptr())) {
    Py_ssize_t size = 0;
    const char* text = PyUnicode_AsUTF8AndSize(user.ptr(), &size);
    if (!text) {
      PyErr_Clear();
      return "text that UTF-8 can hold";
    }
    key.assign(1, 's').append(text, static_cast<std::size_t>(size));
    return nullptr;
  }
  return "a whole number or text";
}

std::string key_of(py::handle user) {
  std::string key;
  if (const char* expected = make_key(user, key))
    throw InvalidArgument(std::string("user: expected ") + expected + "; got " +
                          std::string(py::str(py::type::of(user).attr("__name__"))));
  return key;
}

using Users = std::variant<Int64Array, py::list>;

std::vector<std::string> keys_of(const Users& users) {
  std::vector<std::string> out;
  if (const auto* ids = std::get_if<Int64Array>(&users)) {
    require_ndim(*ids, 1, "users");
    out.reserve(static_cast<std::size_t>(ids->size()));
    for (py::ssize_t i = 0; i < ids->size(); ++i) out.push_back(key_of(ids->data()[i]));
  } else {
    for (py::handle user : std::get<py::list>(users)) {
      const std::size_t place = out.size();
      if (const char* expected = make_key(user, out.emplace_back())) {
        const py::object described = py::module_::import("ecocore.arrays").attr("describe")(user);
        throw InvalidArgument(std::string("users: expected ") + expected + "; got " + described.cast<std::string>() +
                              " at place " + std::to_string(place) + "; leave it out or mend it");
      }
    }
  }
  return out;
}

py::object user_of(const std::string& key) {
  if (!key.empty() && key[0] == 's') return py::str(key.data() + 1, key.size() - 1);
  std::int64_t user = 0;
  std::memcpy(&user, key.data() + 1, sizeof(user));
  return py::int_(user);
}

// A network in native code, whose query is a function of the state; or any Python callable: it gets (indptr, list of
// ids, h, c) as arrays it may keep, and returns the new (h, c or None, query).
SessionStates::Advance native(const RecurrentNet& net) {
  return [&net](const Events& events, const StateRows& from, const RowsDone& done) {
    net.advance(events, from, events.rows < 256 ? 1 : 0, done);  // waking the pool costs more than a small batch
  };
}

SessionStates::Advance python(py::object f, std::int64_t state, std::int64_t query_size) {
  // The callable lives and dies under the GIL, whoever drops the last copy.
  std::shared_ptr<py::object> held(new py::object(std::move(f)), [](py::object* p) {
    AcquireGil gil;
    delete p;
  });
  return [held, state, query_size](const Events& e, const StateRows& from, const RowsDone& done) {
    const auto rows = static_cast<py::ssize_t>(e.rows), width = static_cast<py::ssize_t>(state);
    const std::size_t size = static_cast<std::size_t>(e.rows);
    std::vector<std::int64_t> all(size);
    std::iota(all.begin(), all.end(), std::int64_t{0});
    std::vector<float> h(size * static_cast<std::size_t>(state)), c(from.c ? h.size() : 0);
    std::vector<float> query(size * static_cast<std::size_t>(query_size));
    {
      AcquireGil gil;
      const auto gathered = [&](const float* const* states) {
        FloatArray out({rows, width});
        for (py::ssize_t i = 0; i < rows; ++i) {
          float* to = out.mutable_data() + i * width;
          if (states[i])
            std::copy_n(states[i], width, to);
          else
            std::fill_n(to, width, 0.0f);
        }
        return out;
      };
      py::list ids;
      for (const std::int32_t* p : e.ids) ids.append(Int32Array(static_cast<py::ssize_t>(e.indptr[e.rows]), p));
      const py::object cells = from.c ? py::object(gathered(from.c)) : py::none();
      const py::tuple arguments = py::make_tuple(Int64Array(rows + 1, e.indptr), ids, gathered(from.h), cells);
      PyObject* returned = nullptr;
      acquire_or_sleep([&] { returned = PyObject_Call(held->ptr(), arguments.ptr(), nullptr); });
      if (!returned && PyErr_ExceptionMatches(PyExc_KeyboardInterrupt)) {
        PyErr_Clear();
        throw Interrupted();
      }
      if (!returned) throw py::error_already_set();
      const auto out = py::reinterpret_steal<py::tuple>(returned);
      const auto copy = [&](std::size_t i, py::ssize_t columns, std::vector<float>& to) {
        if (to.empty()) return;
        const auto a = out[i].cast<FloatArray>();
        require(a.ndim() == 2 && a.shape(0) == rows && a.shape(1) == columns,
                "advance: expected states of the model's shape");
        std::memcpy(to.data(), a.data(), static_cast<std::size_t>(a.nbytes()));
      };
      copy(0, width, h);
      copy(1, width, c);
      copy(2, static_cast<py::ssize_t>(query_size), query);
    }
    done(all, h.data(), c.data(), query.data());  // without the GIL
  };
}

// Arrays of one user's or many users' events, already in exact dtypes.
std::vector<SessionEvent> events_of(const std::vector<std::string>& keys, const Int32Array& items,
                                    const std::optional<Int32Array>& types, const std::optional<DoubleArray>& times) {
  const auto n = static_cast<py::ssize_t>(keys.size());
  require(items.size() == n && (!types || types->size() == n) && (!times || times->size() == n),
          "users, items, event_types, times: expected equal lengths");
  std::vector<SessionEvent> events(keys.size());
  for (py::ssize_t i = 0; i < n; ++i) {
    SessionEvent& e = events[static_cast<std::size_t>(i)];
    e.user = keys[static_cast<std::size_t>(i)];
    e.item = items.data()[i];
    e.type = types ? types->data()[i] : 0;
    e.time = times ? times->data()[i] : Py_NAN;
  }
  return events;
}

}  // namespace

void bind_sessions(py::module_& m) {
  const auto noconvert = [](const char* name) { return py::arg(name).noconvert(); };
  py::class_<SessionStates>(m, "SessionStates")
      .def(py::init([](py::object advance, std::int64_t state, bool has_cell, std::int64_t query, bool has_types,
                       bool has_gaps, std::vector<double> gap_edges, std::int64_t capacity, double ttl,
                       std::int64_t history, std::int64_t max_batch, double max_delay) {
             SessionShape shape{state, has_cell, query, has_types, has_gaps, std::move(gap_edges)};
             SessionOptions options{capacity, ttl, history, max_batch, max_delay};
             if (!py::isinstance<RecurrentNet>(advance))
               return std::make_unique<SessionStates>(std::move(shape), options,
                                                      python(std::move(advance), state, query));
             const auto& net = advance.cast<const RecurrentNet&>();
             shape.items = static_cast<std::int32_t>(net.table_size(0));
             if (has_types) shape.types = static_cast<std::int32_t>(net.table_size(1));
             require(query == 0, "query: expected 0 for a native network, whose query is a function of the state");
             require(!has_gaps || net.table_size(net.tables() - 1) >= std::ssize(shape.gap_edges) + 2,
                     "gap_edges: expected at most as many as the network has buckets, less two");
             options.posts = true;
             if (net.operations() <= kFewOperations) options.try_most = 4;
             return std::make_unique<SessionStates>(std::move(shape), options, native(net));
           }),
           py::keep_alive<1, 2>(), "advance"_a, py::kw_only(), "state"_a, "has_cell"_a, "query"_a, "has_types"_a,
           "has_gaps"_a, "gap_edges"_a, "capacity"_a, "ttl"_a, "history"_a, "max_batch"_a, "max_delay"_a)
      .def(
          "append",
          [](SessionStates& s, py::handle user, std::int32_t item, std::int32_t type, double time, double now) {
            const std::string key = key_of(user);
            const SessionEvent event{key, item, type, time};
            if (s.post(event, now) || s.try_append(event, now)) return;  // sooner done than the GIL is given away
            ReleaseGil release;
            s.append({&event, 1}, now);
          },
          "user"_a, "item"_a, "type"_a, "time"_a, "now"_a)
      .def(
          "append_many",
          [](SessionStates& s, const Users& users, const Int32Array& items, const std::optional<Int32Array>& types,
             const std::optional<DoubleArray>& times, double now) {
            const std::vector<std::string> keys = keys_of(users);
            const std::vector<SessionEvent> events = events_of(keys, items, types, times);
            ReleaseGil release;
            s.append(events, now);
          },
          noconvert("users"), noconvert("items"), noconvert("types"), noconvert("times"), "now"_a)
      .def(
          "read",
          [](const SessionStates& s, py::handle user, double now) -> py::object {
            const std::string key = key_of(user);
            const SessionShape& shape = s.shape();
            FloatArray h(static_cast<py::ssize_t>(shape.state));
            FloatArray c(static_cast<py::ssize_t>(shape.has_cell ? shape.state : 0));
            FloatArray query(static_cast<py::ssize_t>(shape.query));
            std::int64_t count = 0;
            double last_time = 0;
            float *hp = h.mutable_data(), *cp = c.mutable_data(), *qp = query.mutable_data();
            std::optional<bool> found = s.try_read(key, now, hp, cp, qp, &count, &last_time);
            if (!found) {
              ReleaseGil release;
              found = s.read(key, now, hp, cp, qp, &count, &last_time);
            }
            if (!*found) return py::none();
            return py::make_tuple(h, shape.has_cell ? py::object(c) : py::none(), query, count, last_time);
          },
          "user"_a, "now"_a)
      .def(
          "forget",
          [](SessionStates& s, const Users& users) {
            const std::vector<std::string> keys = keys_of(users);
            ReleaseGil release;
            return s.forget(keys);
          },
          noconvert("users"))
      .def(
          "dump",
          [](SessionStates& s, double now) {
            SessionDump d;
            {
              ReleaseGil release;
              d = s.dump(now);
            }
            const auto n = static_cast<py::ssize_t>(d.users.size());
            const auto state = static_cast<py::ssize_t>(s.shape().state);
            const auto events = static_cast<py::ssize_t>(d.items.size());
            py::list users;
            for (const std::string& key : d.users) users.append(user_of(key));
            py::dict out;
            out["users"] = users;
            out["h"] = own(std::move(d.h), {n, state});
            out["c"] = own(std::move(d.c), {n, s.shape().has_cell ? state : 0});
            out["query"] = own(std::move(d.query), {n, static_cast<py::ssize_t>(s.shape().query)});
            out["last_time"] = own(std::move(d.last_time), {n});
            out["last_used"] = own(std::move(d.last_used), {n});
            out["count"] = own(std::move(d.count), {n});
            out["indptr"] = own(std::move(d.indptr), {n + 1});
            out["items"] = own(std::move(d.items), {events});
            out["types"] = own(std::move(d.types), {events});
            out["times"] = own(std::move(d.times), {events});
            return out;
          },
          "now"_a)
      .def(
          "replace",
          [](SessionStates& s, const Users& users, const FloatArray& h, const FloatArray& c, const FloatArray& query,
             const DoubleArray& last_time, const DoubleArray& last_used, const Int64Array& count,
             const Int64Array& indptr, const Int32Array& items, const Int32Array& types, const DoubleArray& times) {
            const auto copy = [](const auto& a) { return std::vector(a.data(), a.data() + a.size()); };
            SessionDump d{keys_of(users), copy(h),      copy(c),     copy(query), copy(last_time), copy(last_used),
                          copy(count),    copy(indptr), copy(items), copy(types), copy(times)};
            ReleaseGil release;
            s.replace(d);
          },
          py::kw_only(), noconvert("users"), noconvert("h"), noconvert("c"), noconvert("query"), noconvert("last_time"),
          noconvert("last_used"), noconvert("count"), noconvert("indptr"), noconvert("items"), noconvert("types"),
          noconvert("times"))
      .def("counters", [](const SessionStates& s) {
        SessionCounters c;
        {
          ReleaseGil release;  // another thread may copy everything meanwhile
          c = s.counters();
        }
        py::dict out;
        out["users"] = c.users;
        out["events"] = c.events;
        out["batches"] = c.batches;
        out["largest_batch"] = c.largest_batch;
        out["evicted"] = c.evicted;
        out["expired"] = c.expired;
        out["forgotten"] = c.forgotten;
        out["late"] = c.late;
        out["unknown"] = c.unknown;
        return out;
      });
}

}  // namespace ecocore::bindings
