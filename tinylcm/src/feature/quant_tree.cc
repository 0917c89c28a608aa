#include "tinylcm/feature/quant_tree.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/check.h"
#include "base/text.h"

namespace tinylcm::feature {

using base::Error;
using base::ErrorCode;

base::Status Validate(const QuantTreeTensors& tree, std::size_t dims) {
  const auto refuse = [](const std::string& reason) {
    return Error{ErrorCode::kInvalidArgument, "quant tree: " + reason};
  };
  if (tree.split.size() != tree.axis.size() || tree.is_low.size() != tree.axis.size()) {
    return refuse("cuts of different lengths");
  }
  for (std::size_t i = 0; i < tree.axis.size(); ++i) {
    if (tree.axis[i] >= dims) {
      return refuse(base::StrCat("cut ", i, " looks at number ", tree.axis[i], " of ", dims));
    }
    if (!std::isfinite(tree.split[i])) return refuse(base::StrCat("cut ", i, " is not finite"));
  }
  return {};
}

QuantTreeTensors FitQuantTree(std::span<const float> rows, std::size_t dims, std::size_t bins,
                              std::size_t axes, base::Random& random) {
  CHECK(bins >= 2 && bins <= 256 && dims >= 1 && dims <= 65536 && axes >= 1);
  const std::size_t count = rows.size() / dims;
  QuantTreeTensors tree;
  if (count < 2 * bins) return tree;

  std::vector<double> spread(dims, 0.0);
  for (std::size_t j = 0; j < dims; ++j) {
    double mean = 0.0;
    for (std::size_t i = 0; i < count; ++i) mean += static_cast<double>(rows[i * dims + j]);
    mean /= static_cast<double>(count);
    for (std::size_t i = 0; i < count; ++i) {
      const double off = static_cast<double>(rows[i * dims + j]) - mean;
      spread[j] += off * off;
    }
  }
  std::vector<std::size_t> loud(dims);
  std::iota(loud.begin(), loud.end(), std::size_t{0});
  std::stable_sort(loud.begin(), loud.end(),
                   [&](std::size_t a, std::size_t b) { return spread[a] > spread[b]; });
  loud.resize(std::min(axes, dims));

  std::vector<std::size_t> left(count);
  std::iota(left.begin(), left.end(), std::size_t{0});
  for (std::size_t bin = 0; bin + 1 < bins; ++bin) {
    const std::size_t axis = loud[random.Below(loud.size())];
    const bool is_low = random.Below(2) == 0;
    const auto value = [&](std::size_t i) { return rows[i * dims + axis]; };
    std::stable_sort(left.begin(), left.end(),
                     [&](std::size_t a, std::size_t b) { return value(a) < value(b); });
    // As many as bring the rest to its share: what is cut off too much here is spread over the
    // bins that follow.
    const std::size_t slice = std::max<std::size_t>(1, left.size() / (bins - bin));
    const std::size_t below = is_low ? slice : left.size() - slice;
    const float limit = value(left[below - 1]);  // A number that was seen: exact everywhere.
    tree.axis.push_back(static_cast<std::uint16_t>(axis));
    tree.split.push_back(limit);
    tree.is_low.push_back(is_low ? 1 : 0);
    std::erase_if(left, [&](std::size_t i) { return (value(i) <= limit) == is_low; });
    if (left.empty()) break;  // Many equal numbers: the tree is smaller.
  }
  return tree;
}

}  // namespace tinylcm::feature
