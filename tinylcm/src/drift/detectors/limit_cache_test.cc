#include "tinylcm/drift/detectors/limit_cache.h"

#include <gtest/gtest.h>

#include "tinylcm/drift/detectors/detector.h"
#include "tinylcm/src/drift/detectors/solved_limits.h"

namespace tinylcm::drift {
namespace {

using base::Error;
using base::ErrorCode;
using base::Json;

TEST(LimitCache, SeeksALimitOnce) {
  LimitCache cache;
  int sought = 0;
  const auto solve = [&]() -> base::Result<double> { return 1.5 + sought++; };
  EXPECT_EQ(cache.GetOr(7, solve).value(), 1.5);
  EXPECT_EQ(cache.GetOr(7, solve).value(), 1.5);
  EXPECT_EQ(cache.GetOr(8, solve).value(), 2.5);
  EXPECT_EQ(sought, 2);
}

TEST(LimitCache, DoesNotKeepAnError) {
  LimitCache cache;
  EXPECT_FALSE(cache.GetOr(7, [] { return Error{ErrorCode::kExhausted, "too long"}; }).ok());
  EXPECT_EQ(cache.size(), 0u);
  EXPECT_EQ(cache.GetOr(7, [] { return 2.0; }).value(), 2.0);
}

// Or the next start would refuse the file.
TEST(LimitCache, DoesNotKeepANumberThatIsNoLimit) {
  LimitCache cache;
  EXPECT_EQ(cache.GetOr(7, [] { return 0.0; }).value(), 0.0);
  EXPECT_EQ(cache.size(), 0u);
}

// A limit kept by a program that sought it with less work does not stand for what this one finds.
TEST(LimitCache, KnowsALimitByHowItIsSought) {
  const auto key = [](const MonteCarlo& work) {
    return LimitKey("adwin", 100.0, OptionsDigest().Add(8u), work);
  };
  const MonteCarlo work{.seed = 1, .runs = 200, .values = 1000};
  EXPECT_EQ(key(work), key(work));
  EXPECT_NE(key({.seed = 2, .runs = 200, .values = 1000}), key(work));
  EXPECT_NE(key({.seed = 1, .runs = 201, .values = 1000}), key(work));
  EXPECT_NE(key({.seed = 1, .runs = 200, .values = 1001}), key(work));
}

TEST(LimitCache, IsReadByTheNextRun) {
  LimitCache cache;
  (void)cache.GetOr(0xfedcba9876543210u, [] { return 0.1 + 0.2; }).value();
  LimitCache next;
  ASSERT_TRUE(next.Add(Json::Parse(cache.ToJson().Write()).value()).ok());
  EXPECT_EQ(next.GetOr(0xfedcba9876543210u, [] { return 0.0; }).value(), 0.1 + 0.2);
}

TEST(LimitCache, RefusesWhatItDidNotWrite) {
  LimitCache cache;
  EXPECT_EQ(cache.Add(Json::MakeObject({{"format", "tinylcm-limits/2"}})).error().code,
            ErrorCode::kUnsupported);
  const Json wrong = Json::MakeObject(
      {{"format", "tinylcm-limits/1"}, {"limits", Json::MakeObject({{"1", 2.0}, {"x", 1.0}})}});
  EXPECT_EQ(cache.Add(wrong).error().message, "limits: limits.x: must be a number above 0");
  for (const double limit : {0.0, -1.5}) {
    const Json none = Json::MakeObject(
        {{"format", "tinylcm-limits/1"}, {"limits", Json::MakeObject({{"1", limit}})}});
    EXPECT_EQ(cache.Add(none).error().message, "limits: limits.1: must be a number above 0");
  }
  EXPECT_EQ(cache.size(), 0u);
}

TEST(LimitCache, KeepsWhatMakeDetectorHadToTry) {
  // A clock that no table knows.
  const DetectorOptions options{{"clock", "8"}};
  const std::size_t before = LimitCache::Shared().size();
  const auto made = MakeDetector("adwin", options, 100.0);
  ASSERT_TRUE(made.ok()) << made.error().message;
  EXPECT_EQ(LimitCache::Shared().size(), before + 1);
  const auto again = MakeDetector("adwin", options, 100.0);
  EXPECT_EQ((*again)->limit(), (*made)->limit());
  EXPECT_EQ(LimitCache::Shared().size(), before + 1);
  (void)MakeDetector("adwin", options, 200.0).value();  // Another run length is another limit.
  EXPECT_EQ(LimitCache::Shared().size(), before + 2);
}

}  // namespace
}  // namespace tinylcm::drift
