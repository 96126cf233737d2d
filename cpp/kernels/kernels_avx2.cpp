#define ECOCORE_ISA avx2
#include "kernels/simd_avx2.hpp"
#include "kernels/table.hpp"

#include "kernels/als.inl.hpp"
#include "kernels/nlu.inl.hpp"
#include "kernels/recurrent.inl.hpp"
#include "kernels/topk.inl.hpp"

namespace ecocore {

const KernelTable& kernel_table_avx2() {
  static constexpr KernelTable table{avx2::als_kernels(), avx2::topk_kernels(), avx2::nlu_kernels(),
                                     avx2::recurrent_kernels()};
  return table;
}

}  // namespace ecocore
