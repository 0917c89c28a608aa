// Eigenvectors of a symmetric matrix, in plain double arithmetic of a fixed order: same matrix,
// same bits, on every machine. A library would sum in the order of the machine's vectors.

#pragma once

#include <cstddef>
#include <vector>

namespace tinylcm::feature {

struct Eigenvectors {
  std::vector<double> values;  // [n], in no order.
  std::vector<double> rows;    // [n, n]: row i is the unit vector of values[i].
};

// Cyclic Jacobi (Golub and Van Loan, 8.5): exact to rounding, some sixty n^3 operations.
Eigenvectors EigenvectorsByJacobi(std::vector<double> matrix, std::size_t n);

// Householder's tridiagonal form, then implicit QL (Golub and Van Loan, 8.3): some ten n^3.
Eigenvectors EigenvectorsByQl(std::vector<double> matrix, std::size_t n);

}  // namespace tinylcm::feature
