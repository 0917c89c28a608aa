// Baselines: what adaptation must be better than. Both are as they are commonly met.

#pragma once

#include "base/result.h"
#include "bench/adapt/device.h"
#include "bench/adapt/streams.h"

namespace bench::adapt {

struct Baselines {
  Score before;   // The bundle on scored_quiet.
  Score nothing;  // The bundle on scored.
  // Each feature's mean and variance over what was collected, matched to the anchors' (unweighted).
  Score blind;
  // The prototype's way: 200 neighbours, first in, first out, beginning with anchors; every answer
  // becomes a neighbour under the label that was predicted. Learns on what was collected, then is
  // scored, and goes on learning.
  Score self_trained;
};
base::Result<Baselines> MeasureBaselines(const Deal& deal, bool all);

}  // namespace bench::adapt
