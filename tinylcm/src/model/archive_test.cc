#include "tinylcm/model/archive.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "protocol/archive.h"
#include "protocol/signed_archive.h"
#include "tinylcm/model/bundle_verbs.h"
#include "tinylcm/src/model/small_bundle_test.h"

namespace tinylcm::model {
namespace {

using base::ErrorCode;

class ArchiveTest : public FolderTest {
 protected:
  ArchiveTest() { identity_ = FitInto("bundle"); }

  ArchiveInfo Make(const base::Ed25519Key* key, const std::string& name = "bundle.tar.zst") {
    auto info = MakeArchive(fs_, Path("bundle"), key, Path(name));
    EXPECT_TRUE(info.ok()) << info.error().message;
    return info.ok() ? *info : ArchiveInfo{};
  }
  base::Result<ArchiveInfo> Verify(const base::Ed25519Key& key) {
    return VerifyArchive(fs_, Path("bundle.tar.zst"), &key.public_key());
  }
  base::Result<ArchiveInfo> Unpack(const base::Ed25519Key& key) {
    return UnpackArchive(fs_, Path("bundle.tar.zst"), Path("unpacked"), &key.public_key(), {});
  }

  const base::Ed25519Key publisher_ = base::Ed25519Key::FromSeed(base::Bytes(32, 1)).value();
  const base::Ed25519Key stranger_ = base::Ed25519Key::FromSeed(base::Bytes(32, 2)).value();
  std::string identity_;
};

TEST_F(ArchiveTest, UnpacksToTheSameBundle) {
  const ArchiveInfo made = Make(&publisher_);
  EXPECT_EQ(made.bundle, identity_);
  EXPECT_EQ(made.archive_sha256, base::Sha256Hex(Read("bundle.tar.zst")));
  const auto unpacked = Unpack(publisher_);
  ASSERT_TRUE(unpacked.ok()) << unpacked.error().message;
  EXPECT_EQ(unpacked->archive_sha256, made.archive_sha256);
  const auto bundle = LoadBundle(fs_, Path("unpacked"), {});
  ASSERT_TRUE(bundle.ok()) << bundle.error().message;
  EXPECT_EQ(bundle->bundle, identity_);
}

TEST_F(ArchiveTest, TheSameFolderAndKeyGiveTheSameBytes) {
  EXPECT_EQ(Make(&publisher_).archive_sha256, Make(&publisher_, "again.tar.zst").archive_sha256);
}

TEST_F(ArchiveTest, AnUnsignedBundleIsRefusedWithTheCommandToRun) {
  EXPECT_FALSE(Make(nullptr).is_signed);
  const auto unpacked = Unpack(publisher_);
  ASSERT_FALSE(unpacked.ok());
  EXPECT_EQ(unpacked.error().code, ErrorCode::kPermissionDenied);
  EXPECT_NE(unpacked.error().message.find("not signed; the publisher runs: tinylcm bundle sign"),
            std::string::npos)
      << unpacked.error().message;
  EXPECT_FALSE(base::Exists(fs_, Path("unpacked")));
  // It is whole, though.
  EXPECT_TRUE(VerifyArchive(fs_, Path("bundle.tar.zst"), nullptr).ok());
}

TEST_F(ArchiveTest, ABundleSignedByAnotherKeyIsRefused) {
  Make(&stranger_);
  const auto unpacked = Unpack(publisher_);
  ASSERT_FALSE(unpacked.ok());
  EXPECT_EQ(unpacked.error().code, ErrorCode::kPermissionDenied);
  EXPECT_NE(unpacked.error().message.find("signed by another key"), std::string::npos);
  EXPECT_FALSE(base::Exists(fs_, Path("unpacked")));
}

TEST_F(ArchiveTest, AnUnsignedOrWronglySignedBundleIsRefusedBeforeAnyFileIsLookedAt) {
  // What follows the manifest would be refused for itself, were it looked at.
  const base::Bytes manifest = Read("bundle/manifest.json");
  const auto signature =
      protocol::SignManifest(protocol::kBundleSignaturePrefix, manifest, stranger_);
  const std::vector<protocol::ArchiveFile> unsigned_files = {{"manifest.json", manifest},
                                                             {"unnamed", base::Bytes(100)}};
  const std::vector<protocol::ArchiveFile> wrong_files = {
      {"manifest.json", manifest},
      {"manifest.sig", {signature.begin(), signature.end()}},
      {"unnamed", base::Bytes(100)}};
  for (const auto& [files, why] :
       {std::pair(unsigned_files, "not signed"), std::pair(wrong_files, "signed by another key")}) {
    Write("bundle.tar.zst",
          protocol::WriteArchive(protocol::ArchiveFormat::kTarZst, files).value());
    const std::string refused = Verify(publisher_).error().message;
    EXPECT_NE(refused.find(why), std::string::npos) << refused;
    const std::string looked_at =
        VerifyArchive(fs_, Path("bundle.tar.zst"), nullptr).error().message;
    EXPECT_NE(looked_at.find("'unnamed': not named by the manifest"), std::string::npos)
        << looked_at;
  }
}

TEST_F(ArchiveTest, SigningMakesAnUnsignedArchiveAcceptable) {
  Make(nullptr);
  ASSERT_TRUE(SignArchive(fs_, Path("bundle.tar.zst"), publisher_).ok());
  const auto verified = Verify(publisher_);
  ASSERT_TRUE(verified.ok()) << verified.error().message;
  EXPECT_EQ(verified->bundle, identity_);
  EXPECT_TRUE(verified->is_signed);
}

TEST_F(ArchiveTest, OneFlippedBitAnywhereIsRefusedAndLeavesNothingBehind) {
  Make(&publisher_);
  const base::Bytes whole = Read("bundle.tar.zst");
  const std::size_t step = whole.size() / 40 + 1;
  for (std::size_t at = 0; at < whole.size(); at += step) {
    base::Bytes flipped = whole;
    flipped[at] ^= 0x04;
    Write("bundle.tar.zst", flipped);
    const auto unpacked = Unpack(publisher_);
    if (unpacked.ok()) {
      // A bit that carries nothing (a checksum's, a header's): the bundle is the very same.
      EXPECT_EQ(unpacked->bundle, identity_) << at;
      EXPECT_TRUE(LoadBundle(fs_, Path("unpacked"), {}).ok()) << at;
      ASSERT_TRUE(base::RemoveTree(fs_, Path("unpacked")).ok());
    }
    EXPECT_FALSE(base::Exists(fs_, Path("unpacked"))) << at;
  }
}

TEST_F(ArchiveTest, ATruncatedArchiveIsRefused) {
  Make(&publisher_);
  const base::Bytes whole = Read("bundle.tar.zst");
  for (int part = 0; part < 8; ++part) {
    Write("bundle.tar.zst",
          base::ByteView(whole).first(whole.size() * static_cast<std::size_t>(part) / 8));
    EXPECT_FALSE(Unpack(publisher_).ok()) << part;
    EXPECT_FALSE(base::Exists(fs_, Path("unpacked"))) << part;
  }
}

TEST_F(ArchiveTest, ABundleForAnotherFamilyIsNotUnpacked) {
  Make(&publisher_);
  const auto unpacked =
      UnpackArchive(fs_, Path("bundle.tar.zst"), Path("unpacked"), &publisher_.public_key(),
                    {.model_family = "other", .device_class = "", .agent_version = ""});
  ASSERT_FALSE(unpacked.ok());
  EXPECT_EQ(unpacked.error().code, ErrorCode::kUnsupported);
}

TEST_F(ArchiveTest, TheVerbsMakeKeysAndSignVerifyAndShow) {
  ASSERT_TRUE(Keygen(fs_, {.prefix = Path("publisher")}).ok());
  ASSERT_TRUE(Keygen(fs_, {.prefix = Path("stranger")}).ok());
  EXPECT_EQ(Keygen(fs_, {.prefix = Path("publisher")}).error().code, ErrorCode::kConflict);
  const auto made = BundleMake(
      fs_,
      {.folder = Path("bundle"), .out = Path("out.tar.zst"), .key_file = Path("publisher.key")});
  ASSERT_TRUE(made.ok()) << made.error().message;
  EXPECT_EQ(made->Find("bundle")->as_string(), identity_);
  EXPECT_TRUE(
      BundleVerify(fs_, {.path = Path("out.tar.zst"), .public_key_file = Path("publisher.pub")})
          .ok());
  EXPECT_EQ(
      BundleVerify(fs_, {.path = Path("out.tar.zst"), .public_key_file = Path("stranger.pub")})
          .error()
          .code,
      ErrorCode::kPermissionDenied);
  EXPECT_EQ(BundleVerify(fs_, {.path = Path("bundle"), .public_key_file = Path("publisher.pub")})
                .error()
                .code,
            ErrorCode::kPermissionDenied);
  ASSERT_TRUE(BundleSign(fs_, {.path = Path("bundle"), .key_file = Path("publisher.key")}).ok());
  EXPECT_TRUE(
      BundleVerify(fs_, {.path = Path("bundle"), .public_key_file = Path("publisher.pub")}).ok());
  const auto shown = BundleShow(fs_, {.path = Path("bundle")});
  ASSERT_TRUE(shown.ok());
  EXPECT_EQ(shown->Find("anchors")->as_int(), 30);
  EXPECT_TRUE(BundleShow(fs_, {.path = Path("out.tar.zst")}).ok());
}

}  // namespace
}  // namespace tinylcm::model
