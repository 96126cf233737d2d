// Kernels of exact top-k, written once against the vector types of the including ISA.
namespace ecocore::ECOCORE_ISA {

constexpr TopKKernels topk_kernels() {
  return {};
}

}  // namespace ecocore::ECOCORE_ISA
