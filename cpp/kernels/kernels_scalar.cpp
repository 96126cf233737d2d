#define ECOCORE_ISA scalar
#include "kernels/simd_scalar.hpp"
#include "kernels/table.hpp"

#include "kernels/als.inl.hpp"
#include "kernels/nlu.inl.hpp"
#include "kernels/recurrent.inl.hpp"
#include "kernels/topk.inl.hpp"

namespace ecocore {

const KernelTable& kernel_table_scalar() {
  static constexpr KernelTable table{scalar::als_kernels(), scalar::topk_kernels(), scalar::nlu_kernels(),
                                     scalar::recurrent_kernels()};
  return table;
}

}  // namespace ecocore
