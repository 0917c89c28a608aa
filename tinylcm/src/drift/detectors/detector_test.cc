#include "tinylcm/drift/detectors/detector.h"

#include <gtest/gtest.h>

namespace tinylcm::drift {
namespace {

base::ErrorCode CodeOf(std::string_view name, const DetectorOptions& options,
                       std::optional<double> run_length) {
  const auto made = MakeDetector(name, options, run_length);
  EXPECT_FALSE(made.ok());
  return made.ok() ? base::ErrorCode::kInternal : made.error().code;
}

TEST(MakeDetector, KnowsEveryNameItLists) {
  for (const std::string_view name : DetectorNames()) {
    EXPECT_TRUE(MakeDetector(name, {}, std::nullopt).ok()) << name;
  }
}

TEST(MakeDetector, ReadsOptionsAsTyped) {
  // (14 - 10) / 2 = 2 adds 2 - 0.25 = 1.75 a value: 1.75, 3.5, and 5.25 > 5.
  const auto cusum =
      MakeDetector("cusum", {{"k", "0.25"}, {"h", "5"}, {"mean", "10"}, {"sd", "2"}}, std::nullopt);
  ASSERT_TRUE(cusum.ok()) << cusum.error().message;
  Detector& detector = **cusum;
  EXPECT_EQ(detector.Observe(14.0), DriftSignal::kSteady);
  EXPECT_EQ(detector.Observe(14.0), DriftSignal::kSteady);
  EXPECT_EQ(detector.Observe(14.0), DriftSignal::kDrift);
  EXPECT_EQ(detector.statistic(), 5.25);
}

TEST(MakeDetector, WatchesTheSideNamed) {
  const auto cusum = MakeDetector("cusum", {{"mode", "down"}, {"h", "2"}}, std::nullopt);
  ASSERT_TRUE(cusum.ok());
  EXPECT_EQ((*cusum)->Observe(9.0), DriftSignal::kSteady);
  EXPECT_EQ((*cusum)->Observe(-9.0), DriftSignal::kDrift);
}

TEST(MakeDetector, SolvesTheLimitFromARunLength) {
  // The limit for 10,000 is 7.36: seven threes less 0.5 pass it at the third, 7.5.
  const auto cusum = MakeDetector("cusum", {}, 10'000.0);
  ASSERT_TRUE(cusum.ok());
  EXPECT_EQ((*cusum)->Observe(3.0), DriftSignal::kSteady);
  EXPECT_EQ((*cusum)->Observe(3.0), DriftSignal::kSteady);
  EXPECT_EQ((*cusum)->Observe(3.0), DriftSignal::kDrift);
}

TEST(MakeDetector, RefusesWhatItDoesNotUnderstand) {
  using base::ErrorCode;
  EXPECT_EQ(CodeOf("crystal_ball", {}, std::nullopt), ErrorCode::kNotFound);
  EXPECT_EQ(CodeOf("cusum", {{"lambda", "5"}}, std::nullopt), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf("cusum", {{"k", "half"}}, std::nullopt), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf("cusum", {{"h", "0"}}, std::nullopt), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf("cusum", {{"mode", "sideways"}}, std::nullopt), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf("cusum", {{"h", "5"}}, 1000.0), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf("cusum", {}, 0.0), ErrorCode::kInvalidArgument);
}

// A trial of a million values a run would take minutes.
TEST(MakeDetector, NamesTheLongestRunLengthInsteadOfSeekingALimitForMinutes) {
  const auto message = [](std::string_view name, const DetectorOptions& options, double length) {
    const auto made = MakeDetector(name, options, length);
    return made.ok() ? std::string("made") : made.error().message;
  };
  EXPECT_EQ(message("js_distribution", {}, 1e6),
            "js_distribution: no limit is known for a run length of 1000000 with these options: "
            "ask for one of at most 300000, or give threshold by hand");
  EXPECT_EQ(message("js_distribution", {}, 3e5), "made");
  for (const auto& [name, options] :
       {std::pair<std::string_view, DetectorOptions>{"adwin", {{"clock", "1"}}},
        {"kswin", {{"window_size", "200"}}},
        {"hddm_a", {{"error_rate", "0.2"}}},
        {"mmd_rff", {{"dimensions", "3"}}}}) {
    EXPECT_NE(message(name, options, 1e6).find("no limit is known for a run length of 1000000"),
              std::string::npos)
        << name << ": " << message(name, options, 1e6);
    EXPECT_NE(message(name, options, 1e6).find(" by hand"), std::string::npos) << name;
  }
}

TEST(MakeDetector, HasALimitByHandWhereAnOptionSetsOne) {
  EXPECT_TRUE(HasLimit("cusum", {{"k", "1"}, {"h", "5"}}));
  EXPECT_FALSE(HasLimit("cusum", {{"k", "1"}}));
  EXPECT_TRUE(HasLimit("knn_distance", {{"delta", "0.1"}}));
  EXPECT_FALSE(HasLimit("knn_distance", {{"k", "0.5"}}));
  EXPECT_FALSE(HasLimit("crystal_ball", {{"h", "5"}}));
}

TEST(DriftSignal, HasAWordForEach) {
  EXPECT_STREQ(Name(DriftSignal::kSteady), "steady");
  EXPECT_STREQ(Name(DriftSignal::kLearning), "learning");
  EXPECT_STREQ(Name(DriftSignal::kWarning), "warning");
  EXPECT_STREQ(Name(DriftSignal::kDrift), "drift");
}

}  // namespace
}  // namespace tinylcm::drift
