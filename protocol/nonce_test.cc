#include "protocol/nonce.h"

#include <gtest/gtest.h>

#include "tests/support/fake_clock.h"

namespace protocol {
namespace {

using std::chrono::minutes;
constexpr base::Time kNow = tests::FakeClock::kStart;

TEST(Nonce, IsGoodForTenMinutesAndNoLonger) {
  const NonceIssuer issuer(base::Bytes(32, 1));
  const std::string nonce = issuer.Issue("d-1", kNow);
  EXPECT_TRUE(IsNonce(nonce));
  EXPECT_TRUE(issuer.Check(nonce, "d-1", kNow).ok());
  EXPECT_TRUE(issuer.Check(nonce, "d-1", kNow + minutes(10)).ok());
  EXPECT_FALSE(issuer.Check(nonce, "d-1", kNow + minutes(10) + base::Duration(1)).ok());
}

TEST(Nonce, IsOneDevicesAndOneServers) {
  const NonceIssuer issuer(base::Bytes(32, 1));
  const std::string nonce = issuer.Issue("d-1", kNow);
  EXPECT_FALSE(issuer.Check(nonce, "d-2", kNow).ok());
  EXPECT_FALSE(NonceIssuer(base::Bytes(32, 2)).Check(nonce, "d-1", kNow).ok());
  EXPECT_TRUE(NonceIssuer(base::Bytes(32, 1)).Check(nonce, "d-1", kNow).ok());  // A replica.
}

TEST(Nonce, IsRefusedFromTheFutureAndWhenTamperedWith) {
  const NonceIssuer issuer(base::Bytes(32, 1));
  EXPECT_FALSE(issuer.Check(issuer.Issue("d-1", kNow + minutes(2)), "d-1", kNow).ok());
  std::string nonce = issuer.Issue("d-1", kNow);
  nonce[0] = nonce[0] == 'A' ? 'B' : 'A';
  EXPECT_FALSE(issuer.Check(nonce, "d-1", kNow).ok());
  EXPECT_FALSE(issuer.Check("", "d-1", kNow).ok());
  EXPECT_FALSE(issuer.Check("AAAA", "d-1", kNow).ok());
}

TEST(IsNonce, BoundsWhatADeviceAccepts) {
  EXPECT_TRUE(IsNonce(std::string(128, 'a')));
  EXPECT_FALSE(IsNonce(std::string(129, 'a')));
  EXPECT_FALSE(IsNonce("a b"));
  EXPECT_FALSE(IsNonce("a\r\nx: y"));
}

}  // namespace
}  // namespace protocol
