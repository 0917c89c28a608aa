#include "tinylcm/src/feature/eigenvectors.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/check.h"

namespace tinylcm::feature {
namespace {

// A reflection takes a vector to itself - beta (v . itself) v; v begins at component `first`.
struct Reflection {
  std::size_t first = 0;
  double beta = 0.0;
  std::vector<double> v;

  void Apply(double* vector) const {
    double dot = 0.0;
    for (std::size_t i = 0; i < v.size(); ++i) dot += v[i] * vector[first + i];
    for (std::size_t i = 0; i < v.size(); ++i) vector[first + i] -= beta * dot * v[i];
  }
};

struct Tridiagonal {
  std::vector<double> diagonal;  // [n]
  std::vector<double> beside;    // [n]; the last is 0.
  std::vector<Reflection> reflections;
};

// Column by column, what lies below the one beside the diagonal is reflected away.
Tridiagonal Reduce(std::vector<double>& a, std::size_t n) {
  Tridiagonal reduced{std::vector<double>(n, 0.0), std::vector<double>(n, 0.0), {}};
  std::vector<double> w(n);
  for (std::size_t k = 0; k + 2 < n; ++k) {
    Reflection reflection{k + 1, 0.0, std::vector<double>(n - k - 1)};
    std::vector<double>& v = reflection.v;
    double squares = 0.0;
    for (std::size_t i = 0; i < v.size(); ++i) {
      v[i] = a[(k + 1 + i) * n + k];
      squares += v[i] * v[i];
    }
    const double beside = v[0] > 0.0 ? -std::sqrt(squares) : std::sqrt(squares);
    const double length = squares - v[0] * beside;  // Half of |v|^2 once v[0] has moved.
    reduced.beside[k] = beside;
    if (!(length > 0.0)) continue;  // Nothing to reflect.
    v[0] -= beside;
    reflection.beta = 1.0 / length;
    double dot = 0.0;
    for (std::size_t i = 0; i < v.size(); ++i) {
      const double* const row = &a[(k + 1 + i) * n + k + 1];
      double sum = 0.0;
      for (std::size_t j = 0; j < v.size(); ++j) sum += row[j] * v[j];
      w[i] = reflection.beta * sum;
      dot += w[i] * v[i];
    }
    const double half = 0.5 * reflection.beta * dot;
    for (std::size_t i = 0; i < v.size(); ++i) w[i] -= half * v[i];
    for (std::size_t i = 0; i < v.size(); ++i) {
      double* const row = &a[(k + 1 + i) * n + k + 1];
      for (std::size_t j = 0; j < v.size(); ++j) row[j] -= v[i] * w[j] + w[i] * v[j];
    }
    reduced.reflections.push_back(std::move(reflection));
  }
  if (n >= 2) reduced.beside[n - 2] = a[(n - 1) * n + n - 2];
  for (std::size_t i = 0; i < n; ++i) reduced.diagonal[i] = a[i * n + i];
  return reduced;
}

// Makes the tridiagonal matrix diagonal; `rows` takes part in every rotation.
void Diagonalise(std::vector<double>& d, std::vector<double>& e, std::size_t n,
                 std::vector<double>& rows) {
  constexpr double kEpsilon = std::numeric_limits<double>::epsilon();
  // What is small beside the whole matrix is nothing: one of lower rank has many zeros.
  double largest = 0.0;
  for (std::size_t i = 0; i < n; ++i) largest = std::max(largest, std::abs(d[i]) + std::abs(e[i]));
  for (std::size_t first = 0; first < n; ++first) {
    for (int round = 0;; ++round) {
      std::size_t last = first;
      while (last + 1 < n && std::abs(e[last]) > kEpsilon * largest) ++last;
      if (last == first) break;
      CHECK(round < 100);  // Two or three are usual.
      // Wilkinson's shift.
      double g = (d[first + 1] - d[first]) / (2.0 * e[first]);
      double r = std::sqrt(g * g + 1.0);
      g = d[last] - d[first] + e[first] / (g >= 0.0 ? g + r : g - r);
      double s = 1.0;
      double c = 1.0;
      double p = 0.0;
      bool is_split = false;
      for (std::size_t i = last; i-- > first;) {
        const double f = s * e[i];
        const double b = c * e[i];
        r = std::sqrt(f * f + g * g);
        e[i + 1] = r;
        if (r == 0.0) {  // It falls into two; each is taken up by itself.
          d[i + 1] -= p;
          e[last] = 0.0;
          is_split = true;
          break;
        }
        s = f / r;
        c = g / r;
        g = d[i + 1] - p;
        r = (d[i] - g) * s + 2.0 * c * b;
        p = s * r;
        d[i + 1] = g + p;
        g = c * r - b;
        double* const low = &rows[i * n];
        double* const high = low + n;
        for (std::size_t j = 0; j < n; ++j) {
          const double above = high[j];
          high[j] = s * low[j] + c * above;
          low[j] = c * low[j] - s * above;
        }
      }
      if (is_split) continue;
      d[first] -= p;
      e[first] = g;
      e[last] = 0.0;
    }
  }
}

}  // namespace

// Turns one pair of axes after the other until none leans on another.
Eigenvectors EigenvectorsByJacobi(std::vector<double> a, std::size_t n) {
  CHECK(a.size() == n * n);
  Eigenvectors found{std::vector<double>(n), std::vector<double>(n * n, 0.0)};
  std::vector<double>& rows = found.rows;
  for (std::size_t i = 0; i < n; ++i) rows[i * n + i] = 1.0;
  double whole = 0.0;
  for (const double value : a) whole += value * value;
  for (int sweep = 0; sweep < 60; ++sweep) {
    double off = 0.0;
    for (std::size_t p = 0; p < n; ++p) {
      for (std::size_t q = p + 1; q < n; ++q) off += a[p * n + q] * a[p * n + q];
    }
    if (off <= 1e-28 * whole) break;
    for (std::size_t p = 0; p < n; ++p) {
      for (std::size_t q = p + 1; q < n; ++q) {
        const double apq = a[p * n + q];
        if (apq == 0.0) continue;
        // The smaller of the two angles that make the pair's off-diagonal zero.
        const double theta = (a[q * n + q] - a[p * n + p]) / (2.0 * apq);
        const double t =
            (theta >= 0.0 ? 1.0 : -1.0) / (std::abs(theta) + std::sqrt(theta * theta + 1.0));
        const double c = 1.0 / std::sqrt(t * t + 1.0);
        const double s = t * c;
        for (std::size_t i = 0; i < n; ++i) {
          const double aip = a[i * n + p];
          const double aiq = a[i * n + q];
          a[i * n + p] = c * aip - s * aiq;
          a[i * n + q] = s * aip + c * aiq;
        }
        const auto turn = [&](std::vector<double>& matrix) {
          for (std::size_t i = 0; i < n; ++i) {
            const double pi = matrix[p * n + i];
            const double qi = matrix[q * n + i];
            matrix[p * n + i] = c * pi - s * qi;
            matrix[q * n + i] = s * pi + c * qi;
          }
        };
        turn(a);
        turn(rows);
      }
    }
  }
  for (std::size_t i = 0; i < n; ++i) found.values[i] = a[i * n + i];
  return found;
}

Eigenvectors EigenvectorsByQl(std::vector<double> matrix, std::size_t n) {
  CHECK(matrix.size() == n * n);
  Tridiagonal reduced = Reduce(matrix, n);
  Eigenvectors found{{}, std::vector<double>(n * n, 0.0)};
  for (std::size_t i = 0; i < n; ++i) found.rows[i * n + i] = 1.0;
  Diagonalise(reduced.diagonal, reduced.beside, n, found.rows);
  found.values = std::move(reduced.diagonal);
  // Back through the reflections, the last first.
  for (std::size_t i = 0; i < n; ++i) {
    for (auto it = reduced.reflections.rbegin(); it != reduced.reflections.rend(); ++it) {
      it->Apply(&found.rows[i * n]);
    }
  }
  return found;
}

}  // namespace tinylcm::feature
