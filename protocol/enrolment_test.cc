#include "protocol/enrolment.h"

#include <gtest/gtest.h>

#include "tests/support/fake_clock.h"

namespace protocol {
namespace {

class EnrolmentTest : public testing::Test {
 protected:
  Identity Make(const std::string& challenge) {
    return MakeIdentity(server_, publisher_.public_key(), {"tinylcm-package/1", "tar.gz"},
                        challenge, "g1", tests::FakeClock::kStart);
  }
  base::Status Verify(const Identity& identity, const std::string& challenge) {
    return VerifyIdentity(identity, challenge, base::Fingerprint(server_.public_key()),
                          base::Fingerprint(publisher_.public_key()));
  }
  base::Ed25519Key server_ = base::Ed25519Key::FromSeed(base::Bytes(32, 1)).value();
  base::Ed25519Key publisher_ = base::Ed25519Key::FromSeed(base::Bytes(32, 2)).value();
};

TEST_F(EnrolmentTest, ATokenGoesThroughItsText) {
  EnrolmentToken token{"c2VjcmV0", base::Fingerprint(server_.public_key()),
                       base::Fingerprint(publisher_.public_key()), ""};
  EXPECT_EQ(ParseEnrolmentToken(WriteEnrolmentToken(token) + "\n").value(), token);
  token.tls_pin = base::Fingerprint(server_.public_key());
  EXPECT_EQ(ParseEnrolmentToken(WriteEnrolmentToken(token)).value(), token);
}

TEST_F(EnrolmentTest, AMalformedTokenIsRefusedWithoutQuotingTheSecret) {
  const std::string fingerprint = base::Fingerprint(server_.public_key());
  for (const std::string& text :
       {std::string(""), "tlcm2.s3cret." + fingerprint + "." + fingerprint,
        "tlcm1.s3cret." + fingerprint, "tlcm1.s3cret." + fingerprint + ".short",
        "tlcm1.." + fingerprint + "." + fingerprint,
        "tlcm1.s3cret." + fingerprint + "." + fingerprint + "." + fingerprint + ".x"}) {
    const auto token = ParseEnrolmentToken(text);
    ASSERT_FALSE(token.ok()) << text;
    EXPECT_EQ(token.error().message.find("s3cret"), std::string::npos);
  }
}

TEST_F(EnrolmentTest, AnIdentityProvesItselfOverTheChallenge) {
  const Identity identity = ParseIdentity(ToJson(Make("c1")).Write()).value();
  EXPECT_EQ(identity, Make("c1"));
  EXPECT_TRUE(Verify(identity, "c1").ok());
  EXPECT_FALSE(Verify(identity, "c2").ok());  // An old answer, replayed.
}

TEST_F(EnrolmentTest, AnotherServerOrPublisherIsRefused) {
  Identity identity = Make("c1");
  const std::string other = base::Fingerprint(base::Ed25519Key::Generate().public_key());
  EXPECT_FALSE(
      VerifyIdentity(identity, "c1", other, base::Fingerprint(publisher_.public_key())).ok());
  EXPECT_FALSE(VerifyIdentity(identity, "c1", base::Fingerprint(server_.public_key()), other).ok());
  identity.publisher_key.reset();
  EXPECT_FALSE(Verify(identity, "c1").ok());
}

TEST_F(EnrolmentTest, AnIdentityWhoseFormatsWereChangedIsRefused) {
  Identity identity = Make("c1");
  identity.formats.push_back("tar.zst");
  EXPECT_FALSE(Verify(identity, "c1").ok());
}

TEST_F(EnrolmentTest, ARequestGoesThroughJson) {
  EnrolRequest request{server_.public_key(), "secret", "pi-garden-3", "0.1.0"};
  EXPECT_EQ(ParseEnrolRequest(ToJson(request).Write()).value(), request);
  request.token.reset();
  EXPECT_EQ(ParseEnrolRequest(ToJson(request).Write()).value(), request);
  EXPECT_FALSE(ParseEnrolRequest(R"({"public_key":"AAAA","name":"","agent_version":""})").ok());
}

}  // namespace
}  // namespace protocol
