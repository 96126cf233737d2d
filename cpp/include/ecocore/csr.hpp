// Checks and rearrangements of compressed sparse rows.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ecocore/parallel.hpp"
#include "ecocore/views.hpp"

namespace ecocore {

struct OwnedCsr {
  std::vector<std::int64_t> indptr;
  std::vector<std::int32_t> indices;
  std::vector<float> data;
};

// Throws InvalidArgument unless indptr never falls, every index lies in [0, cols) and every value is finite; says which
// row. Returns whether the indices of every row rise (sorted); a row that names a column twice throws as well, but is
// only looked for in sorted rows: sort first.
bool check_csr(const CsrView& m, const std::string& name, int threads);

// The same rows with rising indices.
OwnedCsr sort_rows(const CsrView& m, int threads);

// Rows become columns. Indices of the result rise within each row; data is empty when m.data is null.
OwnedCsr transpose(const CsrView& m, int threads);

}  // namespace ecocore
