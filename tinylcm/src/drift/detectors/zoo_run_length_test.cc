// Every detector of the zoo runs as long as was asked for, on the input it assumes.

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "base/random.h"
#include "base/text.h"
#include "tinylcm/drift/detectors/detector.h"

namespace tinylcm::drift {
namespace {

const std::set<std::string_view> kOfErrors = {"ddm", "eddm", "hddm_a", "hddm_w"};

class ZooRunLength : public testing::TestWithParam<std::string> {};

TEST_P(ZooRunLength, IsWhatWasAskedForWithinATenth) {
  constexpr double kAsked = 1000.0;
  constexpr int kAlarms = 2000;  // One standard error is 2.2 %.
  const auto made = MakeDetector(GetParam(), {}, kAsked);
  ASSERT_TRUE(made.ok()) << made.error().message;
  Detector& detector = **made;
  base::Random random(99);
  double values = 0.0;
  for (int alarms = 0; alarms < kAlarms && values < 2.0 * kAsked * kAlarms; values += 1.0) {
    const double value = kOfErrors.contains(GetParam())    ? (random.Uniform() < 0.1 ? 1.0 : 0.0)
                         : GetParam() == "js_distribution" ? static_cast<double>(random.Below(10))
                                                           : random.Normal();
    alarms += detector.Observe(value) == DriftSignal::kDrift;
  }
  EXPECT_NEAR(values / kAlarms, kAsked, 0.1 * kAsked) << "seed 99";
}

TEST_P(ZooRunLength, ALimitBesideItIsRefused) {
  const DetectorKind* kind = FindDetectorKind(GetParam());
  ASSERT_NE(kind, nullptr);
  int limits = 0;
  for (const DetectorOption& option : kind->options) {
    if (!option.is_limit) continue;
    ++limits;
    const auto made = MakeDetector(GetParam(), {{std::string(option.name), "0.5"}}, 1000.0);
    ASSERT_FALSE(made.ok()) << option.name;
    EXPECT_EQ(made.error().message, base::StrCat(GetParam(), ": give either ", option.name,
                                                 " or a run length: each sets the limit"));
  }
  EXPECT_GE(limits, 1);
}

INSTANTIATE_TEST_SUITE_P(Zoo, ZooRunLength, testing::ValuesIn([] {
                           std::vector<std::string> names;
                           for (const std::string_view name : DetectorNames()) {
                             names.emplace_back(name);
                           }
                           return names;
                         }()),
                         [](const auto& named) { return named.param; });

}  // namespace
}  // namespace tinylcm::drift
