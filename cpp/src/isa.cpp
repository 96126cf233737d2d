#include "ecocore/isa.hpp"

#include <array>
#include <atomic>
#include <cstdlib>

#include "ecocore/error.hpp"
#include "kernels/table.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace ecocore {
namespace {

constexpr std::array kNames = {std::string_view("scalar"), std::string_view("avx2"), std::string_view("avx512")};

#if defined(__x86_64__)
struct Leaf {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Leaf cpuid(unsigned leaf, unsigned sub = 0) {
  Leaf r;
  __get_cpuid_count(leaf, sub, &r.eax, &r.ebx, &r.ecx, &r.edx);
  return r;
}

bool bits(unsigned word, unsigned mask) {
  return (word & mask) == mask;
}

// What the operating system saves on a context switch: without it, wide registers fault even where the CPU has them.
unsigned os_state() {
  if (!bits(cpuid(1).ecx, bit_OSXSAVE)) return 0;
  unsigned lo = 0, hi = 0;
  __asm__("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
  return lo;
}

bool cpu_has(Isa isa) {
  constexpr unsigned kYmm = 0x6, kZmm = 0xe6;  // XCR0: SSE+AVX; and opmask + both ZMM halves
  const Leaf l1 = cpuid(1), l7 = cpuid(7);
  const bool avx2 = bits(os_state(), kYmm) && bits(l1.ecx, bit_AVX | bit_FMA | bit_F16C) && bits(l7.ebx, bit_AVX2);
  switch (isa) {
    case Isa::kScalar:
      return true;
    case Isa::kAvx2:
      return avx2;
    case Isa::kAvx512:
      return avx2 && bits(os_state(), kZmm) &&
             bits(l7.ebx, bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL | bit_AVX512CD) &&
             bits(l7.ecx, bit_AVX512VNNI);
  }
  return false;
}
#else
bool cpu_has(Isa isa) {
  return isa == Isa::kScalar;
}
#endif

const KernelTable* table_of(Isa isa) {
  switch (isa) {
#if defined(__x86_64__)
    case Isa::kAvx2:
      return &kernel_table_avx2();
    case Isa::kAvx512:
      return &kernel_table_avx512();
#endif
    default:
      return &kernel_table_scalar();
  }
}

std::string available_names() {
  std::string out;
  for (Isa isa : available_isas()) out += (out.empty() ? "" : ", ") + std::string(isa_name(isa));
  return out;
}

Isa parse(const std::string& name, const char* source) {
  if (name.empty() || name == "auto") return available_isas().back();
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (name != kNames[i]) continue;
    const Isa isa = static_cast<Isa>(i);
    if (!cpu_has(isa))
      throw DeviceUnavailable(std::string(source) + " asks for instruction set '" + name +
                              "', which this machine lacks; available: " + available_names() + "; or use 'auto'");
    return isa;
  }
  throw InvalidArgument(std::string(source) + ": expected 'auto', 'scalar', 'avx2' or 'avx512'; got '" + name + "'");
}

constexpr std::array kAllIsas = {Isa::kScalar, Isa::kAvx2, Isa::kAvx512};
std::atomic<int> forced{-1};  // index into kNames once resolved

Isa resolve() {
  const int now = forced.load(std::memory_order_acquire);
  if (now >= 0) return static_cast<Isa>(now);
  const char* env = std::getenv("ECOCORE_FORCE_ISA");
  const Isa isa = parse(env ? env : "auto", "ECOCORE_FORCE_ISA");
  forced.store(static_cast<int>(isa), std::memory_order_release);
  return isa;
}

}  // namespace

std::string_view isa_name(Isa isa) {
  return kNames[static_cast<std::size_t>(isa)];
}

std::vector<Isa> available_isas() {
  std::vector<Isa> out;
  for (Isa isa : kAllIsas)
    if (cpu_has(isa)) out.push_back(isa);
  return out;
}

Isa active_isa() {
  return resolve();
}

void force_isa(const std::string& name) {
  forced.store(static_cast<int>(parse(name, "isa")), std::memory_order_release);
}

const KernelTable& kernels() {
  return *table_of(resolve());
}

}  // namespace ecocore
