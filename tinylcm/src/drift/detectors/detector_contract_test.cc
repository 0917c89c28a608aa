// What every detector promises. A new one joins by one line at the end.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/random.h"
#include "tests/support/allocations.h"
#include "tinylcm/drift/detectors/detector.h"

namespace tinylcm::drift {
namespace {

struct Contender {
  std::string name;
  DetectorOptions options;
};

class DetectorContract : public testing::TestWithParam<Contender> {
 protected:
  static std::unique_ptr<Detector> Make() {
    auto made = MakeDetector(GetParam().name, GetParam().options, std::nullopt);
    EXPECT_TRUE(made.ok()) << made.error().message;
    return std::move(made).value();
  }

  // Quiet, risen by 1.5 sigma, fallen, quiet: with alarms in it.
  static std::vector<double> Stream() {
    base::Random random(20261121);
    std::vector<double> values;
    for (const double level : {0.0, 1.5, -1.5, 0.0}) {
      for (int i = 0; i < 250; ++i) values.push_back(level + random.Normal());
    }
    return values;
  }

  static std::vector<std::string> Signals(Detector& detector, const std::vector<double>& values) {
    std::vector<std::string> signals;
    for (const double value : values) {
      const DriftSignal signal = detector.Observe(value);
      signals.push_back(Name(signal) + std::to_string(detector.statistic()));
    }
    return signals;
  }
};

TEST_P(DetectorContract, SameStreamSameSignals) {
  EXPECT_EQ(Signals(*Make(), Stream()), Signals(*Make(), Stream()));
}

TEST_P(DetectorContract, NoticesAChangeOfOneAndAHalfSigma) {
  const auto detector = Make();
  int alarms = 0;
  for (const double value : Stream()) alarms += detector->Observe(value) == DriftSignal::kDrift;
  EXPECT_GT(alarms, 0);
}

TEST_P(DetectorContract, BehavesAsNewAfterReset) {
  const auto detector = Make();
  Signals(*detector, Stream());
  detector->Reset();
  EXPECT_EQ(detector->statistic(), 0.0);
  EXPECT_EQ(Signals(*detector, Stream()), Signals(*Make(), Stream()));
}

TEST_P(DetectorContract, GoesOnFromARestoredState) {
  const std::vector<double> stream = Stream();
  const std::vector<std::string> whole = Signals(*Make(), stream);
  const auto running = Make();
  for (std::size_t k = 0; k < stream.size(); ++k) {
    // Every k, also the one right after an alarm; through text, as on disk.
    if (k % 7 == 0 || whole[k].starts_with("drift")) {
      const auto saved = base::Json::Parse(running->SaveState().Write());
      ASSERT_TRUE(saved.ok());
      const auto restored = Make();
      ASSERT_TRUE(restored->RestoreState(*saved).ok());
      const std::vector<double> rest(stream.begin() + static_cast<std::ptrdiff_t>(k), stream.end());
      const std::vector<std::string> expected(whole.begin() + static_cast<std::ptrdiff_t>(k),
                                              whole.end());
      ASSERT_EQ(Signals(*restored, rest), expected) << "saved before value " << k;
    }
    running->Observe(stream[k]);
  }
}

TEST_P(DetectorContract, RefusesAStateOfAnotherShapeAndStaysAsItWas) {
  const auto detector = Make();
  for (int i = 0; i < 20; ++i) detector->Observe(0.6);
  const base::Json good = detector->SaveState();
  std::vector<base::Json> wrong = {base::Json(), base::Json(3), base::Json::MakeObject()};
  for (const auto& [key, value] : good.as_object()) {
    base::Json broken = good;
    broken.Set(key, "a text");
    wrong.push_back(broken);
    broken.Set(key, nullptr);
    wrong.push_back(broken);
  }
  for (const base::Json& state : wrong) {
    EXPECT_FALSE(detector->RestoreState(state).ok()) << state.Write();
    EXPECT_EQ(detector->SaveState(), good);
  }
}

TEST_P(DetectorContract, AllocatesNothingOnceWarm) {
  const auto detector = Make();
  const std::vector<double> stream = Stream();
  for (const double value : stream) detector->Observe(value);
  const std::uint64_t before = testing_support::Allocations();
  for (const double value : stream) detector->Observe(value);
  EXPECT_EQ(testing_support::Allocations() - before, 0u);
}

INSTANTIATE_TEST_SUITE_P(Detectors, DetectorContract,
                         testing::Values(Contender{"cusum", {}},
                                         Contender{"cusum", {{"mode", "down"}}},
                                         Contender{"cusum", {{"mode", "both"}, {"k", "0.25"}}}),
                         [](const auto& contender) {
                           std::string name = contender.param.name;
                           for (const auto& [key, value] : contender.param.options) {
                             if (key == "mode") name += "_" + value;
                           }
                           return name;
                         });

}  // namespace
}  // namespace tinylcm::drift
