// Which instruction set the kernels run on: the best that CPU and operating system support, or the one that
// ECOCORE_FORCE_ISA names. A forced one that is absent raises; nothing falls back in silence.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ecocore {

// kAvx512 means Ice Lake, Zen 4 and later: F, BW, DQ, VL, CD and VNNI together. Older AVX-512 chips lower
// their clock for 512-bit code and are better off with AVX2.
enum class Isa { kScalar, kAvx2, kAvx512 };

std::string_view isa_name(Isa isa);
std::vector<Isa> available_isas();  // ascending; always begins with kScalar
Isa active_isa();                   // resolved on first use from ECOCORE_FORCE_ISA

// `name` is "auto" or an ISA's name. Throws InvalidArgument for an unknown name, DeviceUnavailable for an absent ISA.
// Calls that are already running finish on the kernels they started with.
void force_isa(const std::string& name);

}  // namespace ecocore
