#define ECOCORE_ISA avx512
#include "kernels/simd_avx512.hpp"
#include "kernels/table.hpp"

#include "kernels/als.inl.hpp"
#include "kernels/nlu.inl.hpp"
#include "kernels/recurrent.inl.hpp"
#include "kernels/topk.inl.hpp"

namespace ecocore {

const KernelTable& kernel_table_avx512() {
  static constexpr KernelTable table{avx512::als_kernels(), avx512::topk_kernels(), avx512::nlu_kernels(),
                                     avx512::recurrent_kernels()};
  return table;
}

}  // namespace ecocore
