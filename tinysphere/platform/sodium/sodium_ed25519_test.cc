// Both engines say the same of the vectors of RFC 8032, and of what the other made.

#include "tinysphere/platform/sodium/sodium_ed25519.h"

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/ed25519_engine.h"

namespace tinysphere::sodium {
namespace {

class Ed25519 : public testing::Test {
 protected:
  ~Ed25519() override { base::UseEd25519Engine({}); }
};

base::Bytes Hex(std::string_view text) { return base::HexDecode(text).value(); }

// RFC 8032 7.1, test 3.
TEST_F(Ed25519, SignsAsTheStandardDoes) {
  UseSodiumForEd25519();
  const auto key = base::Ed25519Key::FromSeed(
      Hex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7"));
  ASSERT_TRUE(key.ok());
  const base::Ed25519Signature signature = key->Sign(Hex("af82"));
  EXPECT_EQ(base::HexEncode(signature),
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
            "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a");
  EXPECT_TRUE(base::VerifyEd25519(key->public_key(), Hex("af82"), signature));
  EXPECT_FALSE(base::VerifyEd25519(key->public_key(), Hex("af83"), signature));
}

TEST_F(Ed25519, BelievesWhatOpenSslSignedAndTheOtherWayRound) {
  const base::Ed25519Key key = base::Ed25519Key::Generate();
  const base::Bytes message = base::ToBytes("a package");
  const base::Ed25519Signature by_openssl = key.Sign(message);
  UseSodiumForEd25519();
  EXPECT_TRUE(base::VerifyEd25519(key.public_key(), message, by_openssl));
  const base::Ed25519Signature by_sodium = key.Sign(message);
  EXPECT_EQ(by_sodium, by_openssl);  // Ed25519 is deterministic.
  base::UseEd25519Engine({});
  EXPECT_TRUE(base::VerifyEd25519(key.public_key(), message, by_sodium));
}

TEST_F(Ed25519, RefusesASignatureOfAnotherLength) {
  UseSodiumForEd25519();
  const base::Ed25519Key key = base::Ed25519Key::Generate();
  EXPECT_FALSE(base::VerifyEd25519(key.public_key(), {}, base::Bytes(63)));
}

}  // namespace
}  // namespace tinysphere::sodium
