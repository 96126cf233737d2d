#include "ecocore/isa.hpp"

#include <algorithm>

#include "check.hpp"
#include "ecocore/error.hpp"

using namespace ecocore;

TEST(isa_forced_is_active) {
  const std::string before(isa_name(active_isa()));
  for (Isa isa : available_isas()) {
    force_isa(std::string(isa_name(isa)));
    CHECK(active_isa() == isa);
  }
  force_isa("auto");
  CHECK(active_isa() == available_isas().back());
  force_isa(before);
}

TEST(isa_lists_rise_from_scalar) {
  const auto isas = available_isas();
  CHECK(isas.front() == Isa::kScalar);
  CHECK(std::is_sorted(isas.begin(), isas.end()));
}

TEST(isa_unknown_or_absent_is_refused) {
  const Isa before = active_isa();
  CHECK_THROWS(InvalidArgument, "isa: expected 'auto', 'scalar', 'avx2' or 'avx512'; got 'sse9'", force_isa("sse9"));
  CHECK_THROWS(InvalidArgument, "got 'AVX2'", force_isa("AVX2"));
  const auto isas = available_isas();
  for (Isa isa : {Isa::kAvx2, Isa::kAvx512})
    if (std::find(isas.begin(), isas.end(), isa) == isas.end())
      CHECK_THROWS(DeviceUnavailable, "which this machine lacks; available: scalar",
                   force_isa(std::string(isa_name(isa))));
  CHECK(active_isa() == before);
}
