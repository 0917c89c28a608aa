// QuantTree: tells in which of K bins a vector lies, each of which holds about 1 / K of those it
// was made of.
//
// Picture a cake of which slices are cut off one after the other: each cut looks at one number of
// the vector only, and takes what lies below (or above) a limit that leaves 1 / K of the whole on
// the knife. However the vectors are spread, in however many dimensions, the bins are as full as
// each other; when the vectors move, whichever way, some fill and others empty.
//
// Boracchi, Carrera, Cervellera, Maccio, "QuantTree: Histograms for Change Detection in
// Multivariate Data Streams" (ICML 2018).

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/random.h"
#include "base/result.h"

namespace tinylcm::feature {

// The cuts, in their order. A plain value; empty: no tree.
struct QuantTreeTensors {
  std::vector<std::uint16_t> axis = {};   // [K - 1]: which number is looked at ...
  std::vector<float> split = {};          // [K - 1]: ... and the limit:
  std::vector<std::uint8_t> is_low = {};  // [K - 1]: 1: bin i is what is <= split, 0: what is >.

  std::size_t bins() const { return axis.empty() ? 0 : axis.size() + 1; }
  friend bool operator==(const QuantTreeTensors&, const QuantTreeTensors&) = default;
};

// kInvalidArgument unless the cuts are of one length, finite and of vectors of `dims` numbers.
base::Status Validate(const QuantTreeTensors& tree, std::size_t dims);

// Row i of `rows` is rows[i * dims .. (i + 1) * dims). Cuts along the `axes` numbers that vary
// most. Same rows and draws, same bits, on every machine. No tree (empty) of fewer than 2 rows a
// bin. REQUIRES: 2 <= bins <= 256, 1 <= dims <= 65536, axes >= 1.
QuantTreeTensors FitQuantTree(std::span<const float> rows, std::size_t dims, std::size_t bins,
                              std::size_t axes, base::Random& random);

// 0 to bins() - 1. At most K - 1 comparisons. REQUIRES: a valid tree that is not empty.
inline std::size_t BinOf(const QuantTreeTensors& tree, std::span<const float> vector) {
  std::size_t bin = 0;
  for (; bin < tree.axis.size(); ++bin) {
    const float value = vector[tree.axis[bin]];
    if (tree.is_low[bin] != 0 ? value <= tree.split[bin] : value > tree.split[bin]) break;
  }
  return bin;
}

}  // namespace tinylcm::feature
