#include "tinysphere/access/enroll_tokens.h"

#include "protocol/enrolment.h"
#include "tinysphere/access/stand_test.h"

namespace tinysphere::access {
namespace {

using base::ErrorCode;
using std::chrono::hours;

class EnrollTokensTest : public AccessTest {
 protected:
  std::string Create(base::Duration ttl = hours(24)) {
    const auto token = CreateEnrollToken(*database_,
                                         {.server_fingerprint = base::Fingerprint(server_),
                                          .publisher_key = publisher_,
                                          .tls_pin = base::Fingerprint(server_),
                                          .ttl = ttl,
                                          .created_by = "ann"},
                                         clock_.Now());
    EXPECT_TRUE(token.ok());
    return token.value();
  }
  std::string SecretOf(const std::string& token) {
    return protocol::ParseEnrolmentToken(token).value().secret;
  }
  base::Status Use(const std::string& secret, const std::string& device_id) {
    return database_->Write([&](store::Transaction& transaction) {
      return UseEnrollToken(transaction, secret, device_id, clock_.Now());
    });
  }

  base::Ed25519PublicKey server_ = base::Ed25519Key::Generate().public_key();
  base::Ed25519PublicKey publisher_ = base::Ed25519Key::Generate().public_key();
};

TEST_F(EnrollTokensTest, CarryWhomToTrust) {
  const auto parts = protocol::ParseEnrolmentToken(Create());
  ASSERT_TRUE(parts.ok()) << parts.error().message;
  EXPECT_EQ(parts->server_fingerprint, base::Fingerprint(server_));
  EXPECT_EQ(parts->publisher_fingerprint, base::Fingerprint(publisher_));
  EXPECT_EQ(parts->tls_pin, base::Fingerprint(server_));
  EXPECT_EQ(PublisherKeys(*database_).value().front(), publisher_);
}

TEST_F(EnrollTokensTest, LetOneDeviceInOnceAndThatOneAgain) {
  const std::string secret = SecretOf(Create());
  EXPECT_TRUE(Use(secret, "d-1").ok());
  EXPECT_TRUE(Use(secret, "d-1").ok());  // The answer was lost.
  const base::Status other = Use(secret, "d-2");
  ASSERT_FALSE(other.ok());
  EXPECT_EQ(other.error().code, ErrorCode::kPermissionDenied);
  const EnrollToken listed = ListEnrollTokens(*database_).value().front();
  EXPECT_EQ(listed.used_by, "d-1");
}

TEST_F(EnrollTokensTest, AreOfOnePublisherUntilItIsReplaced) {
  const std::string secret = SecretOf(Create());
  NewEnrollToken other{.server_fingerprint = base::Fingerprint(server_),
                       .publisher_key = base::Ed25519Key::Generate().public_key(),
                       .tls_pin = "",
                       .replaces_publisher = false,
                       .ttl = hours(1),
                       .created_by = "ann"};
  const auto refused = CreateEnrollToken(*database_, other, clock_.Now());
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kConflict);
  EXPECT_NE(refused.error().message.find("--replace-publisher"), std::string::npos);
  EXPECT_EQ(PublisherKeys(*database_).value().back(), publisher_);
  other.replaces_publisher = true;
  EXPECT_TRUE(CreateEnrollToken(*database_, other, clock_.Now()).ok());
  EXPECT_EQ(PublisherKeys(*database_).value(), std::vector{other.publisher_key});
  EXPECT_FALSE(Use(secret, "d-1").ok());
}

TEST_F(EnrollTokensTest, AreGoodForNothingOnceRevoked) {
  const std::string secret = SecretOf(Create());
  const std::string id = ListEnrollTokens(*database_).value().front().token_id;
  EXPECT_TRUE(RevokeEnrollToken(*database_, id, "ann", clock_.Now()).ok());
  EXPECT_FALSE(Use(secret, "d-1").ok());
  EXPECT_EQ(RevokeEnrollToken(*database_, id, "ann", clock_.Now()).error().code,
            ErrorCode::kNotFound);
}

TEST_F(EnrollTokensTest, EndWithTheirTime) {
  const std::string secret = SecretOf(Create(hours(1)));
  clock_.Advance(hours(1));
  EXPECT_FALSE(Use(secret, "d-1").ok());
}

TEST_F(EnrollTokensTest, AreNotGuessed) {
  Create();
  EXPECT_FALSE(Use("guess", "d-1").ok());
  EXPECT_FALSE(Use("", "d-1").ok());
}

TEST_F(EnrollTokensTest, AreStoredAsHashesOnly) {
  const std::string secret = SecretOf(Create());
  EXPECT_EQ(database_->QueryOne("SELECT token_hash FROM enroll_tokens").value()->Text("token_hash"),
            base::Sha256Hex(base::AsBytes(secret)));
}

}  // namespace
}  // namespace tinysphere::access
