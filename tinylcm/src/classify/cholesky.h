// The triangular root of a covariance and what is solved with it, in plain double arithmetic of a
// fixed order: same matrix, same bits, on every machine (Golub and Van Loan, 4.2 and 3.1).

#pragma once

#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

namespace tinylcm::classify {

// a = L L^T in place, in the lower half of [n, n]. False where `a` is not positive definite.
inline bool Cholesky(std::vector<double>& a, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      double sum = a[i * n + j];
      for (std::size_t k = 0; k < j; ++k) sum -= a[i * n + k] * a[j * n + k];
      if (i == j) {
        if (!(sum > 0.0)) return false;
        a[i * n + i] = std::sqrt(sum);
      } else {
        a[i * n + j] = sum / a[j * n + j];
      }
    }
  }
  return true;
}

// Solves L L^T x = b in place.
inline void SolveCholesky(const std::vector<double>& l, std::size_t n, std::span<double> x) {
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t k = 0; k < i; ++k) x[i] -= l[i * n + k] * x[k];
    x[i] /= l[i * n + i];
  }
  for (std::size_t i = n; i-- > 0;) {
    for (std::size_t k = i + 1; k < n; ++k) x[i] -= l[k * n + i] * x[k];
    x[i] /= l[i * n + i];
  }
}

}  // namespace tinylcm::classify
