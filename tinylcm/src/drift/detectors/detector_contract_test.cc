// What every detector promises. A new one joins by one line at the end.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/text.h"
#include "tests/support/allocations.h"
#include "tinylcm/drift/detectors/detector.h"
#include "tinylcm/drift/detectors/normal.h"

namespace tinylcm::drift {
namespace {

enum class Feed { kNormal, kBits, kClasses };

struct Contender {
  std::string name;
  DetectorOptions options;
  Feed feed = Feed::kNormal;
  std::optional<double> run_length = {};
};

class DetectorContract : public testing::TestWithParam<Contender> {
 protected:
  // Made once, for a limit may have to be solved; each test gets copies.
  static void SetUpTestSuite() { made_ = new std::map<std::string, std::unique_ptr<Detector>>; }
  static void TearDownTestSuite() {
    delete made_;
    made_ = nullptr;
  }
  static std::unique_ptr<Detector> Make() {
    std::string key = GetParam().name;
    for (const auto& [name, value] : GetParam().options) key += " " + name + "=" + value;
    std::unique_ptr<Detector>& usual = (*made_)[key];
    if (usual == nullptr) {
      auto made = MakeDetector(GetParam().name, GetParam().options, GetParam().run_length);
      EXPECT_TRUE(made.ok()) << made.error().message;
      usual = std::move(made).value();
    }
    return usual->Clone();
  }

  // 2,000 values: quiet, risen by 1.5 sigma, fallen, quiet. As bits: how often a normal value
  // exceeds 1.28; as classes: which tenth it falls into.
  static std::vector<double> Stream() {
    base::Random random(20261121);
    std::vector<double> values;
    for (const double level : {0.0, 1.5, -1.5, 0.0}) {
      for (int i = 0; i < 500; ++i) {
        const double value = level + random.Normal();
        switch (GetParam().feed) {
          case Feed::kNormal:
            values.push_back(value);
            break;
          case Feed::kBits:
            values.push_back(value > 1.28 ? 1.0 : 0.0);
            break;
          case Feed::kClasses:
            values.push_back(std::floor(std::min(9.0, 10.0 * NormalProbability(value))));
            break;
        }
      }
    }
    return values;
  }

  static std::vector<std::string> Signals(Detector& detector, const std::vector<double>& values) {
    std::vector<std::string> signals;
    for (const double value : values) {
      const DriftSignal signal = detector.Observe(value);
      signals.push_back(Name(signal) + base::FormatDouble(detector.statistic()));
    }
    return signals;
  }

 private:
  static inline std::map<std::string, std::unique_ptr<Detector>>* made_ = nullptr;
};

TEST_P(DetectorContract, SameStreamSameSignals) {
  EXPECT_EQ(Signals(*Make(), Stream()), Signals(*Make(), Stream()));
}

TEST_P(DetectorContract, NoticesTheChanges) {
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
  const auto restored = Make();
  for (std::size_t k = 0; k < stream.size(); ++k) {
    // At every k the state is saved and read into one that has seen other things; it goes on for a
    // while, and at some k and after each alarm to the very end.
    ASSERT_TRUE(RestoreDetector(*restored, SaveDetector(*running)).ok()) << "before value " << k;
    ASSERT_EQ(SaveDetector(*restored), SaveDetector(*running));
    const bool to_the_end = k % 100 == 0 || whole[k].starts_with("drift") ||
                            (k > 0 && whole[k - 1].starts_with("drift"));
    const std::size_t end = to_the_end ? stream.size() : std::min(stream.size(), k + 20);
    const std::vector<double> rest(stream.begin() + static_cast<std::ptrdiff_t>(k),
                                   stream.begin() + static_cast<std::ptrdiff_t>(end));
    const std::vector<std::string> expected(whole.begin() + static_cast<std::ptrdiff_t>(k),
                                            whole.begin() + static_cast<std::ptrdiff_t>(end));
    ASSERT_EQ(Signals(*restored, rest), expected) << "saved before value " << k;
    running->Observe(stream[k]);
  }
}

TEST_P(DetectorContract, RefusesADamagedStateAndStaysAsItWas) {
  const auto detector = Make();
  const std::vector<double> stream = Stream();
  for (int i = 0; i < 700; ++i) detector->Observe(stream[static_cast<std::size_t>(i)]);
  const base::Bytes good = SaveDetector(*detector);
  const auto refuses = [&](const base::Bytes& state) {
    EXPECT_FALSE(RestoreDetector(*detector, state).ok());
    EXPECT_EQ(SaveDetector(*detector), good);
  };
  refuses({});
  for (std::size_t size = 0; size < good.size(); size += 1 + size / 16) {
    refuses(base::Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)));
  }
  for (std::size_t at = 0; at < good.size(); at += 1 + at / 32) {
    base::Bytes flipped = good;
    flipped[at] ^= static_cast<std::uint8_t>(1u << (at % 8));
    refuses(flipped);
  }
  base::Bytes longer = good;
  longer.push_back(0);
  refuses(longer);
}

TEST_P(DetectorContract, RefusesTheStateOfAnotherDetector) {
  const auto detector = Make();
  const base::Bytes good = SaveDetector(*detector);
  for (const std::string_view name : {"cusum", "ewma"}) {
    const auto other = MakeDetector(name, {{"sd", "3"}}, 777.0);
    ASSERT_TRUE(other.ok());
    EXPECT_FALSE(RestoreDetector(*detector, SaveDetector(**other)).ok());
    EXPECT_EQ(SaveDetector(*detector), good);
  }
}

TEST_P(DetectorContract, NumbersInAStateThatNoRunLeavesBehindDoNoHarm) {
  // A sound checksum over random numbers: refused, or taken and survived.
  const auto detector = Make();
  base::Random random(11);
  for (int trial = 0; trial < 50; ++trial) {
    StateWriter writer;
    detector->Write(writer);
    OptionsDigest digest;
    detector->AddTo(digest);
    base::Bytes block = std::move(writer).Seal(1, digest.value());
    const std::size_t header = 8 + 4 + 8 + 8;
    base::Bytes body(block.begin() + header, block.end() - 4);
    for (int i = 0; i < 3; ++i) {
      body[4 + random.Below(body.size() - 4)] = static_cast<std::uint8_t>(random.Next());
    }
    StateWriter forged;
    forged.PutSpan(body);
    const base::Bytes state = std::move(forged).Seal(1, digest.value());
    const auto target = Make();
    const base::Bytes before = SaveDetector(*target);
    if (RestoreDetector(*target, state).ok()) {
      Signals(*target, Stream());
    } else {
      EXPECT_EQ(SaveDetector(*target), before);
    }
  }
}

TEST_P(DetectorContract, AllocatesNothingOnceMade) {
  const auto detector = Make();
  const std::vector<double> stream = Stream();
  const std::uint64_t before = testing_support::Allocations();
  for (const double value : stream) detector->Observe(value);
  EXPECT_EQ(testing_support::Allocations() - before, 0u);
}

INSTANTIATE_TEST_SUITE_P(
    Detectors, DetectorContract,
    testing::Values(
        Contender{"cusum", {}}, Contender{"cusum", {{"mode", "down"}}},
        Contender{"cusum", {{"mode", "both"}, {"k", "0.25"}}}, Contender{"ewma", {}},
        Contender{"ewma", {{"mode", "up"}}}, Contender{"ewma", {{"mode", "down"}}},
        Contender{"page_hinkley", {}}, Contender{"page_hinkley", {{"mode", "up"}}},
        Contender{"page_hinkley", {{"mode", "down"}}}, Contender{"adwin", {}},
        Contender{"adwin", {{"delta", "0.002"}, {"clock", "1"}}}, Contender{"kswin", {}},
        Contender{"kswin", {{"alpha", "0.0001"}, {"window_size", "200"}, {"seed", "7"}}},
        Contender{"hddm_a", {}, Feed::kBits, 1000.0},
        Contender{
            "hddm_a", {{"drift_confidence", "0.001"}, {"two_sided_test", "true"}}, Feed::kBits},
        Contender{"hddm_w", {}, Feed::kBits},
        Contender{
            "hddm_w", {{"drift_confidence", "0.001"}, {"two_sided_test", "true"}}, Feed::kBits},
        Contender{"ddm", {}, Feed::kBits}, Contender{"eddm", {}, Feed::kBits, 1000.0},
        Contender{"knn_distance", {}},
        Contender{"knn_distance", {{"delta", "0.5"}, {"lambda_threshold", "5"}}},
        Contender{"knn_distance",
                  {{"initial_reference_mean", "0"}, {"initial_reference_std", "1"}}},
        Contender{
            "js_distribution", {{"reference_size", "200"}, {"threshold", "0.2"}}, Feed::kClasses},
        Contender{"quanttree_ewma", {}}, Contender{"mmd_rff", {}},
        Contender{"shiryaev_roberts", {}},
        Contender{"shiryaev_roberts", {{"limit", "1000"}, {"mode", "up"}}}),
    [](const auto& named) {
      std::string name = named.param.name;
      for (const auto& [key, value] : named.param.options) {
        for (const char c : "_" + key + "_" + value) {
          if (c != '.') name += c;
        }
      }
      return name;
    });

TEST(DetectorContractSuite, HoldsForEveryName) {
  std::set<std::string_view> tried;
  const auto* suite = testing::UnitTest::GetInstance();
  for (int i = 0; i < suite->total_test_suite_count(); ++i) {
    const testing::TestSuite* one = suite->GetTestSuite(i);
    if (std::string_view(one->name()) != "Detectors/DetectorContract") continue;
    for (int j = 0; j < one->total_test_count(); ++j) {
      const std::string_view test = one->GetTestInfo(j)->name();
      for (const std::string_view name : DetectorNames()) {
        if (test.find("/" + std::string(name)) != std::string_view::npos) tried.insert(name);
      }
    }
  }
  EXPECT_EQ(tried.size(), DetectorNames().size());
}

}  // namespace
}  // namespace tinylcm::drift
