#include "tinylcm/drift/detectors/ks_two_sample.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/file_system.h"
#include "base/json.h"

namespace tinylcm::drift {
namespace {

std::vector<double> Numbers(const base::Json& list) {
  std::vector<double> numbers;
  for (const base::Json& number : list.as_array()) numbers.push_back(number.as_double());
  return numbers;
}

// The share of walks that stray by at least `apart` of n m, by trying them all.
double ByHand(int n, int m, int apart) {
  int all = 0;
  int strayed = 0;
  for (int walk = 0; walk < 1 << (n + m); ++walk) {
    if (__builtin_popcount(static_cast<unsigned>(walk)) != n) continue;
    int i = 0;
    int j = 0;
    bool strays = false;
    for (int step = 0; step < n + m; ++step) {
      ((walk >> step) & 1) != 0 ? ++i : ++j;
      strays = strays || std::abs(i * m - j * n) >= apart;
    }
    ++all;
    strayed += strays;
  }
  return static_cast<double>(strayed) / all;
}

TEST(KsTest, AgreesWithSciPyOnEveryCase) {
  const auto text =
      base::ReadTextFile(base::SystemFileSystem(), "data/vectors/ks_2samp.json", 1 << 20);
  ASSERT_TRUE(text.ok()) << text.error().message;
  const auto json = base::Json::Parse(*text);
  ASSERT_TRUE(json.ok());
  int cases = 0;
  for (const base::Json& one : json->as_array()) {
    const KsResult result = KsTest(Numbers(*one.Find("a")), Numbers(*one.Find("b")));
    const double p = one.Find("p_exact")->as_double();
    EXPECT_NEAR(result.statistic, one.Find("statistic")->as_double(), 1e-14)
        << one.Find("name")->as_string();
    EXPECT_NEAR(result.p, p, 1e-9 * p) << one.Find("name")->as_string();
    ++cases;
  }
  EXPECT_EQ(cases, 13);
}

TEST(KsTest, CountsWalksAsOneWouldByHand) {
  // D = 1 only where all of one sample come first: 2 of C(8, 3) walks.
  EXPECT_DOUBLE_EQ(ByHand(3, 5, 15), 2.0 / 56.0);
  const std::vector<double> low = {1, 2, 3};
  const std::vector<double> high = {4, 5, 6, 7, 8};
  EXPECT_NEAR(KsTest(low, high).p, 2.0 / 56.0, 1e-15);
  // 1 | 4 | 2 3 | 5 6 7 8: after 2 and 3 all three of one, one of five of the other: 1 - 1/5.
  const std::vector<double> mixed = {1, 4.5, 4.7};
  EXPECT_NEAR(KsTest(mixed, high).p, ByHand(3, 5, 12), 1e-14);
}

TEST(KsTest, OfEqualSizesHasAClosedForm) {
  for (int k = 0; k <= 6; ++k) {
    EXPECT_NEAR(KsTailOfEqualSizes(6, static_cast<std::uint32_t>(k)), ByHand(6, 6, 6 * k), 1e-14);
  }
}

}  // namespace
}  // namespace tinylcm::drift
