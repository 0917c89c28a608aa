#include "tinylcm/src/feature/eigenvectors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"

namespace tinylcm::feature {
namespace {

// The sum of `terms` outer products of noise: symmetric, of that rank.
std::vector<double> Covariance(std::size_t n, std::size_t terms, std::uint64_t seed) {
  base::Random random(seed);
  std::vector<double> matrix(n * n, 0.0);
  std::vector<double> row(n);
  for (std::size_t term = 0; term < terms; ++term) {
    for (double& value : row) value = random.Normal();
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j < n; ++j) matrix[i * n + j] += row[i] * row[j];
    }
  }
  return matrix;
}

std::vector<double> Sorted(std::vector<double> values) {
  std::ranges::sort(values);
  return values;
}

// matrix * vector = value * vector, and the vectors are of unit length and square to each other.
void ExpectEigenvectors(const std::vector<double>& matrix, std::size_t n,
                        const Eigenvectors& found) {
  ASSERT_EQ(found.values.size(), n);
  double scale = 0.0;
  for (const double value : matrix) scale = std::max(scale, std::abs(value));
  for (std::size_t k = 0; k < n; ++k) {
    const double* const vector = &found.rows[k * n];
    for (std::size_t i = 0; i < n; ++i) {
      double sum = 0.0;
      for (std::size_t j = 0; j < n; ++j) sum += matrix[i * n + j] * vector[j];
      ASSERT_NEAR(sum, found.values[k] * vector[i], 1e-10 * scale * static_cast<double>(n));
    }
    for (std::size_t other = 0; other <= k; ++other) {
      double dot = 0.0;
      for (std::size_t i = 0; i < n; ++i) dot += vector[i] * found.rows[other * n + i];
      ASSERT_NEAR(dot, other == k ? 1.0 : 0.0, 1e-11);
    }
  }
}

TEST(Eigenvectors, BothWaysAgreeOnMatricesOfFullRankAndOfLess) {
  for (const std::size_t n : {1u, 2u, 3u, 4u, 17u, 60u}) {
    for (const std::size_t terms : {n + 5, n / 2 + 1}) {
      SCOPED_TRACE(testing::Message() << n << " x " << n << ", rank at most " << terms);
      const std::vector<double> matrix = Covariance(n, terms, 100 * n + terms);
      const Eigenvectors jacobi = EigenvectorsByJacobi(matrix, n);
      const Eigenvectors ql = EigenvectorsByQl(matrix, n);
      ExpectEigenvectors(matrix, n, jacobi);
      ExpectEigenvectors(matrix, n, ql);
      const std::vector<double> one = Sorted(jacobi.values);
      const std::vector<double> other = Sorted(ql.values);
      for (std::size_t i = 0; i < n; ++i) EXPECT_NEAR(one[i], other[i], 1e-9 * one.back());
    }
  }
}

TEST(Eigenvectors, OfAMatrixThatIsDiagonalAlreadyAreTheAxes) {
  const std::vector<double> matrix = {3, 0, 0, 0, 1, 0, 0, 0, 2};
  EXPECT_EQ(EigenvectorsByQl(matrix, 3).values, (std::vector<double>{3, 1, 2}));
  EXPECT_EQ(EigenvectorsByQl(matrix, 3).rows, (std::vector<double>{1, 0, 0, 0, 1, 0, 0, 0, 1}));
  const std::vector<double> zero(9, 0.0);
  EXPECT_EQ(EigenvectorsByQl(zero, 3).values, (std::vector<double>{0, 0, 0}));
}

TEST(Eigenvectors, OfManyChannelsAndFewRowsAreRight) {
  constexpr std::size_t kSize = 300;
  const std::vector<double> matrix = Covariance(kSize, 80, 7);
  ExpectEigenvectors(matrix, kSize, EigenvectorsByQl(matrix, kSize));
}

}  // namespace
}  // namespace tinylcm::feature
