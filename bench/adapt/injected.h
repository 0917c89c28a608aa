// Injected: a harmful adaptation past the judge, to see whether the trial alone finds it out.
//
// The machine is told that people's labels chose it; what it is, is a memory of the stream under
// labels of which a part is wrong. Champion and challenger then answer the same samples, and the
// machine hears of both, as on a device.

#pragma once

#include <cstdint>
#include <optional>

#include "base/result.h"
#include "bench/adapt/streams.h"

namespace bench::adapt {

enum class Injected {
  kPseudoLabels,  // Every collected sample under its predicted label, a part of them under another.
  kLabels,        // 24 asked samples and their neighbours; a part of the 24 is wrong.
};

struct Injection {
  double champion = 0.0;  // Accuracy on what is scored.
  double challenger = 0.0;
  std::optional<std::size_t> undone_after;  // Samples; nothing: it was committed, or never undone.
  bool is_identical = false;                // What serves after it, to the byte.

  bool is_harmful() const { return challenger < champion - 0.01; }
};
base::Result<Injection> Inject(const Deal& deal, Injected what, double wrong, std::size_t samples,
                               std::uint64_t seed);

}  // namespace bench::adapt
