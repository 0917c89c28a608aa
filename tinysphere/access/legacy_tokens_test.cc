#include "tinysphere/access/legacy_tokens.h"

#include "tinysphere/access/stand_test.h"

namespace tinysphere::access {
namespace {

using base::ErrorCode;

class LegacyTokens : public AccessTest {
 protected:
  std::string Make(const std::string& device_id) {
    return CreateLegacyToken(*database_, device_id, kLegacyTokenLife, "test", clock_.Now()).value();
  }
  base::Result<std::string> Find(const std::string& secret) {
    return FindLegacyToken(*database_, secret, clock_.Now());
  }
};

TEST_F(LegacyTokens, NameTheOneDeviceTheyWereMadeFor) {
  const std::string garden = Make("pi-garden");
  const std::string shed = Make("pi-shed");
  EXPECT_EQ(Find(garden).value(), "pi-garden");
  EXPECT_EQ(Find(shed).value(), "pi-shed");
  EXPECT_EQ(Find(garden + "x").error().code, ErrorCode::kPermissionDenied);
}

TEST_F(LegacyTokens, AreNeverMadeForADeviceWithAKey) {
  for (const char* id : {"d-0123456789abcdef0123456789abcdef", "d-", "D-1", "", ".", "..", "-a",
                         "a/b", "a b", "verdicts", "a\nb", "gr\xc3\xbcn"}) {
    const auto made = CreateLegacyToken(*database_, id, kLegacyTokenLife, "test", clock_.Now());
    EXPECT_EQ(made.error().code, ErrorCode::kInvalidArgument) << id;
  }
}

TEST_F(LegacyTokens, AreGoodForNothingOnceTheyHaveExpired) {
  const std::string secret =
      CreateLegacyToken(*database_, "pi", std::chrono::hours(1), "test", clock_.Now()).value();
  clock_.Advance(std::chrono::minutes(59));
  EXPECT_TRUE(Find(secret).ok());
  clock_.Advance(std::chrono::minutes(1));
  EXPECT_EQ(Find(secret).error().code, ErrorCode::kPermissionDenied);
}

TEST_F(LegacyTokens, AreGoodForNothingOnceTheyAreRevoked) {
  const std::string secret = Make("pi");
  const std::string other = Make("pi");
  const base::Time now = clock_.Now();
  ASSERT_TRUE(RevokeLegacyToken(*database_, LegacyTokenId(secret), "test", now).ok());
  EXPECT_EQ(Find(secret).error().code, ErrorCode::kPermissionDenied);
  EXPECT_TRUE(Find(other).ok());
  EXPECT_EQ(RevokeLegacyToken(*database_, LegacyTokenId(secret), "test", now).error().code,
            ErrorCode::kNotFound);
}

TEST_F(LegacyTokens, OfARevokedDeviceAreGoodForNothing) {
  const std::string secret = Make("pi");
  ASSERT_TRUE(database_
                  ->Execute("INSERT INTO devices (device_id, name, state, enrolled_at, "
                            "fingerprint) VALUES ('pi', 'pi', 'active', 0, '')")
                  .ok());
  EXPECT_TRUE(Find(secret).ok());
  ASSERT_TRUE(database_->Execute("UPDATE devices SET state = 'revoked'").ok());
  EXPECT_EQ(Find(secret).error().message, "device: is revoked");
}

TEST_F(LegacyTokens, AreListedWithoutTheirSecrets) {
  const std::string secret = Make("pi");
  const auto tokens = ListLegacyTokens(*database_).value();
  ASSERT_EQ(tokens.size(), 1u);
  EXPECT_EQ(tokens[0].device_id, "pi");
  EXPECT_EQ(tokens[0].token_id, LegacyTokenId(secret));
  EXPECT_EQ(secret.find(tokens[0].token_id), std::string::npos);
}

}  // namespace
}  // namespace tinysphere::access
