// What the core asks of an instruction set: one table of function pointers, filled once per ISA.
#pragma once

#include "kernels/als.hpp"
#include "kernels/nlu.hpp"
#include "kernels/recurrent.hpp"
#include "kernels/topk.hpp"

namespace ecocore {

struct KernelTable {
  AlsKernels als;
  TopKKernels topk;
  NluKernels nlu;
  RecurrentKernels recurrent;
};

const KernelTable& kernel_table_scalar();
const KernelTable& kernel_table_avx2();
const KernelTable& kernel_table_avx512();

const KernelTable& kernels();  // of the active ISA (src/isa.cpp)

}  // namespace ecocore
