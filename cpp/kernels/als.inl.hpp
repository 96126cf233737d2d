// Kernels of alternating least squares, written once against F32 of the including ISA.
namespace ecocore::ECOCORE_ISA {

constexpr AlsKernels als_kernels() {
  return {};
}

}  // namespace ecocore::ECOCORE_ISA
