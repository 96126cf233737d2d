#include "bindings/arrays.hpp"
#include "bindings/text.hpp"
#include "ecocore/lookup.hpp"

namespace ecocore::bindings {

void bind_text(py::module_& m) {
  m.def(
      "murmur3_32",
      [](const py::bytes& data, std::uint32_t seed) {
        const std::string_view bytes = data;
        return murmur3_32(bytes.data(), bytes.size(), seed);
      },
      "data"_a, "seed"_a = 0);
  m.def("decode_utf8", [](const py::bytes& data) { return to_str(decode_utf8(data)); }, "data"_a);

  py::class_<PreparedText>(m, "PreparedText")
      .def(py::init([](const py::str& text) {
             std::u32string source = code_points(text);
             ReleaseGil release;
             return std::make_unique<PreparedText>(std::move(source));
           }),
           "text"_a)
      .def_property_readonly("normalized", [](const PreparedText& t) { return to_str(t.normal.chars); })
      .def(
          "source_span",
          [](const PreparedText& t, std::int32_t begin, std::int32_t end) {
            require(begin >= 0 && begin < end && end <= t.normal.size(),
                    "begin, end: expected a span of the normalised text");
            return std::make_pair(t.normal.begin[static_cast<std::size_t>(begin)],
                                  t.normal.end[static_cast<std::size_t>(end - 1)]);
          },
          "begin"_a, "end"_a)
      .def_property_readonly("tokens", [](const PreparedText& t) {
        py::list out;
        for (const Token& token : t.tokens)
          out.append(py::make_tuple(t.normal.begin[static_cast<std::size_t>(token.begin)],
                                    t.normal.end[static_cast<std::size_t>(token.end - 1)]));
        return out;
      });

  py::class_<PhraseMatcher>(m, "PhraseMatcher")
      .def(py::init([](const py::list& phrases) {
             const std::vector<std::u32string> list = code_points(phrases);
             ReleaseGil release;
             return std::make_unique<PhraseMatcher>(list);
           }),
           "phrases"_a)
      .def("__len__", &PhraseMatcher::size)
      .def(
          "find",
          [](const PhraseMatcher& matcher, const PreparedText& t) {
            std::vector<PhraseMatch> found;
            {
              ReleaseGil release;
              found = matcher.find(t.normal);
            }
            py::list out;
            for (const PhraseMatch& match : found)
              out.append(py::make_tuple(t.normal.begin[static_cast<std::size_t>(match.begin)],
                                        t.normal.end[static_cast<std::size_t>(match.end - 1)], match.phrase));
            return out;
          },
          "text"_a);
}

}  // namespace ecocore::bindings
