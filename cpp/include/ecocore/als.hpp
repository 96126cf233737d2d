// Alternating least squares for implicit feedback.
//
// Both published objectives, and each half of a sweep, solve one small system per row u over the fixed factors Y:
//
//     A x = b,   A = w0 Y^T Y + lambda_u I + sum_j w_j y_j y_j^T,   b = sum_j t_j y_j + lambda_u prior_u
//
// where j runs over the row's interactions of value v_j and confidence c_j = alpha |v_j|:
//     implicit (Hu, Koren, Volinsky 2008)   w0 = 1, w_j = c_j - 1, t_j = c_j if v_j > 0 else 0
//     iALS (Rendle et al. 2022)             w0 = alpha0, w_j = c_j, t_j the same
// A negative value means dislike: the pair's target is 0, held with confidence c_j.
#pragma once

#include <cstdint>

#include "ecocore/parallel.hpp"
#include "ecocore/views.hpp"

namespace ecocore {

struct AlsWeights {
  float alpha = 1.0f;          // confidence per unit of value, > 0
  float weight_offset = 0.0f;  // w_j = alpha |v_j| + weight_offset
  float gram_weight = 1.0f;    // w0
};

struct AlsProblem {
  CsrView interactions;                   // rows to solve x rows of `fixed`; null data means ones
  MatrixView<const float> fixed;          // Y
  const double* gram = nullptr;           // Y^T Y, factors x factors, see als_gram
  const float* regularization = nullptr;  // lambda, one per row
  MatrixView<const float> prior;          // rows x factors, or null data for zero
  AlsWeights weights;
};

// kCholesky: the exact solution, refined once in float64 (relative error about 1e-6 of the float64 solution).
// kCg: `cg_steps` steps of conjugate gradient from the start, stopped where the squared residual falls below 1e-20.
// kAuto: per row, CG while the row's factors fit the cache, else exact: one pass over memory instead of one per step.
enum class AlsSolver { kAuto, kCholesky, kCg };

struct AlsOptions {
  AlsSolver solver = AlsSolver::kAuto;
  int cg_steps = 3;
  int threads = 0;
};

// Y^T Y in float64, factors x factors, into `out`. `exact` sums in float64 throughout, which exact solutions need where
// the factors outnumber the rows; else blocks of 64 rows are summed in float32 (relative error about 1e-7).
void als_gram(const MatrixView<const float>& factors, double* out, bool exact, int threads);

// Solves every row from `start` into `solved` (which may be the same memory). A row without interactions gets
// zeros. Throws InvalidArgument where a row's equations are singular or overflow. Same bits for any thread count.
void als_half_sweep(const AlsProblem& problem, const MatrixView<const float>& start, const MatrixView<float>& solved,
                    const AlsOptions& options, const Poll& poll = {});

// The objective without its regularisation, in float64: with s the predicted score and p_j = 1 where v_j > 0 else 0,
// sum over interactions of c_j (p_j - s_j)^2 + weight_offset s_j^2, plus w0 times the sum over all pairs of s^2.
double als_data_loss(const CsrView& interactions, const MatrixView<const float>& user_factors,
                     const MatrixView<const float>& item_factors, const double* user_gram, const double* item_gram,
                     const AlsWeights& weights, int threads, const Poll& poll = {});

// sum_u lambda_u |x_u - prior_u|^2, float64.
double als_penalty(const MatrixView<const float>& factors, const float* regularization,
                   const MatrixView<const float>& prior, int threads);

}  // namespace ecocore
