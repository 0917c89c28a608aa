// Buckets: what lies where in the object store. The bucket is the first part of a key.

#pragma once

#include <array>
#include <string_view>

namespace tinysphere::store {

struct Bucket {
  std::string_view name;
  std::string_view what;  // For people.
  // Whether its contents may be removed by age. Devices fetch bundles whenever they were away, an
  // adaptation is what a device may go back to: those go when nothing needs them.
  bool may_expire = false;
};

// In the order of keys: '-' comes before '/'.
inline constexpr std::array kBuckets = {
    Bucket{"adaptations", "what devices learned", false},
    Bucket{"bundles", "bundles as their publishers signed them", false},
    Bucket{"data-logs", "operational logs", true},
    Bucket{"drift-features", "feature vectors of drift events", true},
    Bucket{"drift-samples", "samples that were asked for, and what people said", true},
    Bucket{"drift", "pictures and rows of drift events", true},
    Bucket{"packages", "packages as they came", true},
    Bucket{"prediction-images", "sampled pictures", true},
};

// Ground truth is kept for good, wherever it lies.
inline constexpr std::string_view kKeptForGood = "drift-samples/verdicts/";

}  // namespace tinysphere::store
