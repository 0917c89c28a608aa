#include "base/crypto.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "base/file_system.h"

namespace base {
namespace {

TEST(Sha256, AgreesWithTheVectorsOfTheStandard) {
  // FIPS 180-4, appendix B.1 and the empty message.
  EXPECT_EQ(Sha256Hex(AsBytes("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Sha256Hex({}), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(Sha256, TakesItsInputInAnyPieces) {
  Sha256 sha;
  sha.Update(AsBytes("a"));
  sha.Update({});
  sha.Update(AsBytes("bc"));
  EXPECT_EQ(sha.Finish(), Sha256Of(AsBytes("abc")));
}

// Bytes of which fewer come than it says, or a few at a time.
class OddFile final : public ReadableFile {
 public:
  OddFile(Bytes bytes, std::uint64_t size) : bytes_(std::move(bytes)), size_(size) {}
  std::uint64_t size() const override { return size_; }
  Result<std::size_t> ReadAt(std::uint64_t offset, std::span<std::uint8_t> out) const override {
    const std::size_t at = std::min(bytes_.size(), static_cast<std::size_t>(offset));
    const std::size_t count = std::min({bytes_.size() - at, out.size(), std::size_t{7}});
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(at), count, out.begin());
    return count;
  }

 private:
  Bytes bytes_;
  std::uint64_t size_;
};

TEST(Sha256, OfAFileIsThatOfItsBytes) {
  Bytes bytes(100);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i);
  EXPECT_EQ(Sha256OfFile(OddFile(bytes, 100)).value(), Sha256Of(bytes));
  EXPECT_EQ(Sha256OfFile(OddFile({}, 0)).value(), Sha256Of({}));
}

TEST(Sha256, OfAFileThatEndsTooEarlyIsNone) {
  const auto digest = Sha256OfFile(OddFile(Bytes(100), 101));
  ASSERT_FALSE(digest.ok());
  EXPECT_EQ(digest.error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(digest.error().message, "ends after 100 of 101 bytes");
}

TEST(HmacSha256, AgreesWithTheRfc) {
  // RFC 4231, test case 2.
  EXPECT_EQ(HexEncode(HmacSha256(AsBytes("Jefe"), AsBytes("what do ya want for nothing?"))),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST(Ed25519, AgreesWithTheRfc) {
  // RFC 8032, 7.1 test 2.
  const Ed25519Key key =
      Ed25519Key::FromSeed(
          HexDecode("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb").value())
          .value();
  EXPECT_EQ(HexEncode(key.public_key()),
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
  EXPECT_EQ(HexEncode(key.Sign(Bytes{0x72})),
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
}

TEST(Ed25519, AcceptsOnlyTheVeryMessageFromTheVeryKey) {
  const Ed25519Key key = Ed25519Key::Generate();
  Ed25519Signature signature = key.Sign(AsBytes("frame 41"));
  EXPECT_TRUE(VerifyEd25519(key.public_key(), AsBytes("frame 41"), signature));
  EXPECT_FALSE(VerifyEd25519(key.public_key(), AsBytes("frame 42"), signature));
  EXPECT_FALSE(VerifyEd25519(Ed25519Key::Generate().public_key(), AsBytes("frame 41"), signature));
  EXPECT_FALSE(VerifyEd25519(key.public_key(), AsBytes("frame 41"), ByteView(signature).first(63)));
  signature[0] ^= 1;
  EXPECT_FALSE(VerifyEd25519(key.public_key(), AsBytes("frame 41"), signature));
}

TEST(Ed25519Key, GoesThroughItsFile) {
  const Ed25519Key key = Ed25519Key::Generate();
  const Ed25519Key again = ParsePrivateKeyText(WritePrivateKeyText(key)).value();
  EXPECT_EQ(again.seed(), key.seed());
  EXPECT_EQ(ParsePublicKeyText(WritePublicKeyText(key.public_key())).value(), key.public_key());
  EXPECT_FALSE(ParsePrivateKeyText(WritePublicKeyText(key.public_key())).ok());
  EXPECT_FALSE(ParsePublicKeyText("tlcm-ed25519-public-1 AAAA").ok());
}

TEST(Ed25519Key, IsMovedNotCopied) {
  Ed25519Key key = Ed25519Key::Generate();
  const Ed25519PublicKey first = key.public_key();
  Ed25519Key other = Ed25519Key::Generate();
  other = std::move(key);
  EXPECT_EQ(other.public_key(), first);
  EXPECT_TRUE(VerifyEd25519(first, AsBytes("x"), other.Sign(AsBytes("x"))));
}

TEST(Ed25519Key, RefusesASeedOfAnotherSize) { EXPECT_FALSE(Ed25519Key::FromSeed(Bytes(31)).ok()); }

TEST(Fingerprint, IsTheHashOfTheRawKey) {
  const Ed25519PublicKey zero{};
  // SHA-256 of 32 zero bytes.
  EXPECT_EQ(HexEncode(Base64UrlDecode(Fingerprint(zero)).value()),
            "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925");
}

TEST(RandomBytes, DoNotRepeat) { EXPECT_NE(RandomBytes(16), RandomBytes(16)); }

}  // namespace
}  // namespace base
