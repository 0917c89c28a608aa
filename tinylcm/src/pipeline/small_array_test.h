// A small sensor array for the tests: four classes, sixteen channels, some of which can age.

#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "tinylcm/model/bundle.h"
#include "tinylcm/model/fit.h"

namespace tinylcm::pipeline {

inline constexpr std::size_t kChannels = 16;
inline constexpr std::uint16_t kClasses = 4;

// Class c raises channels 4c .. 4c+3 by one; every channel has noise.
inline std::vector<float> MakeRow(base::Random& random, std::uint16_t label, bool aged) {
  std::vector<float> row(kChannels);
  for (std::size_t i = 0; i < kChannels; ++i) {
    row[i] = static_cast<float>((i / 4 == label ? 1.0 : 0.0) + 0.25 * random.Normal());
    // The first six channels lose most of their gain and gain an offset.
    if (aged && i < 6) row[i] = 0.2f * row[i] + 1.2f;
  }
  return row;
}

// As if somebody had plugged six cables where others belong: channels 0 to 5 read what 8 to 13 do.
// Every channel looks as it always did, so nothing can be put right but by people who know.
inline std::vector<float> MakeCrossedRow(base::Random& random, std::uint16_t label) {
  std::vector<float> row = MakeRow(random, label, false);
  for (std::size_t i = 0; i < 6; ++i) row[i] = row[i + 8];
  return row;
}

// Its classes are called "a" to "d"; its name for itself is its version's last character.
inline std::shared_ptr<const model::ModelBundle> MakeBundle(const std::string& version,
                                                            std::uint64_t seed,
                                                            model::FitOptions options = {}) {
  base::Random random(seed);
  model::FitData data;
  data.raw_count = kChannels;
  data.label_names = {"a", "b", "c", "d"};
  for (int i = 0; i < 400; ++i) {
    const auto label = static_cast<std::uint16_t>(i % kClasses);
    const std::vector<float> row = MakeRow(random, label, false);
    data.raw.insert(data.raw.end(), row.begin(), row.end());
    data.labels.push_back(label);
  }
  options.standardise = true;
  options.seed = seed;
  auto fitted = model::Fit(data, options);
  EXPECT_TRUE(fitted.ok()) << (fitted.ok() ? "" : fitted.error().message);
  model::ModelBundle bundle = std::move(fitted->bundle);
  bundle.manifest.name = "array";
  bundle.manifest.version = version;
  bundle.manifest.model_family = "array";
  bundle.manifest.min_agent = "0.1.0";
  bundle.manifest.input.kind = protocol::BundleInput::Kind::kRow;
  bundle.manifest.input.channel_count = static_cast<int>(kChannels);
  bundle.manifest.labels = data.label_names;
  bundle.bundle = std::string(64, version.back());
  return std::make_shared<const model::ModelBundle>(std::move(bundle));
}

}  // namespace tinylcm::pipeline
