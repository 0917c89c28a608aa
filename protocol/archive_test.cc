// Archives, packages and bundles: what goes through, and what is refused and how.

#include "protocol/archive.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/random.h"
#include "base/text.h"
#include "protocol/bundle.h"
#include "protocol/package.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_file_system.h"

namespace protocol {
namespace {

using base::Bytes;
using base::ErrorCode;

constexpr std::array<ArchiveFormat, 4> kFormats = {ArchiveFormat::kTarGz, ArchiveFormat::kZip,
                                                   ArchiveFormat::kTar, ArchiveFormat::kTarZst};

// One 512-byte tar header and its data, by hand, so that a test can say what no writer would.
Bytes TarEntry(const std::string& path, const std::string& data, char type = '0',
               const std::string& link = "") {
  Bytes block(512, 0);
  const auto put = [&](std::size_t at, const std::string& text) {
    std::copy(text.begin(), text.end(), block.begin() + static_cast<std::ptrdiff_t>(at));
  };
  const auto octal = [](std::uint64_t value, int digits) {
    std::string text(static_cast<std::size_t>(digits), '0');
    for (std::size_t i = text.size(); i > 0; --i, value /= 8) {
      text[i - 1] = static_cast<char>('0' + value % 8);
    }
    return text;
  };
  put(0, path);
  put(100, "0000644");
  put(108, "0000000");
  put(116, "0000000");
  put(124, octal(data.size(), 11));
  put(136, "00000000000");
  put(148, "        ");
  block[156] = static_cast<std::uint8_t>(type);
  put(157, link);
  put(257, std::string("ustar\0"
                       "00",
                       8));
  unsigned sum = 0;
  for (const std::uint8_t byte : block) sum += byte;
  put(148, octal(sum, 6));
  block[154] = 0;
  block.insert(block.end(), data.begin(), data.end());
  block.resize((block.size() + 511) / 512 * 512, 0);
  return block;
}

Bytes Tar(const std::vector<Bytes>& entries) {
  Bytes tar;
  for (const Bytes& entry : entries) tar.insert(tar.end(), entry.begin(), entry.end());
  tar.resize(tar.size() + 1024, 0);
  return tar;
}

class PackageTest : public testing::Test {
 protected:
  PackageManifest Manifest() const {
    PackageManifest manifest;
    manifest.name = {DeviceIdOf(key_.public_key()), "0123456789abcdef", 42};
    manifest.type = kTypeDriftEvent;
    manifest.created_at = tests::FakeClock::kStart;
    manifest.clock_trusted = true;
    manifest.boot = "77ab";
    manifest.uptime_ms = 81234;
    manifest.agent_version = "0.1.0";
    manifest.bundle = std::string(64, 'a');
    return manifest;
  }
  Bytes Build(ArchiveFormat format = ArchiveFormat::kTarGz) const {
    const std::vector<PackageFile> files = {
        {"drift_event.json", "application/json", base::ToBytes("{}")},
        {"images/a.jpg", "image/jpeg", Bytes(5000, 9)},
        {"empty.txt", "text/plain", {}}};
    return BuildPackage(Manifest(), files, key_, format).value();
  }
  base::Result<ReadPackageResult> Read(base::ByteView archive, ArchiveLimits limits = {}) {
    MemorySource source(archive);
    sink_ = MemorySink();
    return ReadPackage(
        source, limits,
        [this](const PackageManifest&) -> base::Result<base::Ed25519PublicKey> {
          return key_.public_key();
        },
        sink_);
  }
  // A package whose manifest names one file "a" with content "x", around entries of the test's own.
  Bytes Crafted(const std::vector<Bytes>& entries) {
    PackageManifest manifest = Manifest();
    manifest.files = {{"a", 1, base::Sha256Hex(base::AsBytes("x")), "text/plain", ""}};
    const std::string text = WritePackageManifest(manifest);
    const base::Ed25519Signature signature =
        SignManifest(kPackageSignaturePrefix, base::AsBytes(text), key_);
    std::vector<Bytes> all = {TarEntry("manifest.json", text),
                              TarEntry("manifest.sig", std::string(base::AsText(signature)))};
    all.insert(all.end(), entries.begin(), entries.end());
    return Tar(all);
  }
  void ExpectRefused(base::ByteView archive, ErrorCode code, const std::string& part) {
    const auto result = Read(archive);
    ASSERT_FALSE(result.ok()) << part;
    EXPECT_EQ(result.error().code, code) << result.error().message;
    EXPECT_NE(result.error().message.find(part), std::string::npos) << result.error().message;
  }

  base::Ed25519Key key_ = base::Ed25519Key::FromSeed(Bytes(32, 3)).value();
  MemorySink sink_;
};

TEST_F(PackageTest, GoesThroughEveryFormat) {
  for (const ArchiveFormat format : kFormats) {
    const Bytes archive = Build(format);
    const auto result = Read(archive);
    ASSERT_TRUE(result.ok()) << Name(format) << ": " << result.error().message;
    EXPECT_EQ(result->manifest.name, Manifest().name);
    EXPECT_EQ(result->manifest.files.size(), 3u);
    ASSERT_EQ(sink_.files().size(), 3u);
    EXPECT_EQ(*sink_.Find("images/a.jpg"), Bytes(5000, 9));
    EXPECT_EQ(base::AsText(*sink_.Find("drift_event.json")), "{}");
    EXPECT_EQ(ParseArchiveFormat(Name(format)).value(), format);
  }
}

TEST_F(PackageTest, IsTheSameBytesWheneverItIsBuilt) {
  for (const ArchiveFormat format : kFormats) EXPECT_EQ(Build(format), Build(format));
}

TEST_F(PackageTest, HandMadeTarsAreRead) { EXPECT_TRUE(Read(Crafted({TarEntry("a", "x")})).ok()); }

TEST_F(PackageTest, RefusesAPathOutside) {
  ExpectRefused(Crafted({TarEntry("../a", "x")}), ErrorCode::kPermissionDenied, "not allowed");
  ExpectRefused(Crafted({TarEntry("/etc/passwd", "x")}), ErrorCode::kPermissionDenied,
                "not allowed");
  ExpectRefused(Crafted({TarEntry("b/../../a", "x")}), ErrorCode::kPermissionDenied, "not allowed");
}

TEST_F(PackageTest, RefusesWhatIsNoRegularFile) {
  for (const char type : {'1', '2', '3', '4', '5', '6'}) {
    const std::string path = type == '5' ? "d/" : "a";
    const auto result = Read(Crafted({TarEntry(path, "", type, "/etc/passwd")}));
    ASSERT_FALSE(result.ok()) << type;
    EXPECT_EQ(result.error().code, ErrorCode::kPermissionDenied) << result.error().message;
  }
}

TEST_F(PackageTest, RefusesAFileThatIsExtraDoubleOrMissing) {
  ExpectRefused(Crafted({TarEntry("a", "x"), TarEntry("b", "y")}), ErrorCode::kPermissionDenied,
                "not named");
  ExpectRefused(Crafted({TarEntry("a", "x"), TarEntry("a", "x")}), ErrorCode::kPermissionDenied,
                "twice");
  ExpectRefused(Crafted({TarEntry("a", "x"), TarEntry("manifest.json", "{}")}),
                ErrorCode::kPermissionDenied, "twice");
  ExpectRefused(Crafted({}), ErrorCode::kCorrupt, "missing");
}

TEST_F(PackageTest, RefusesAnotherContentOrSize) {
  ExpectRefused(Crafted({TarEntry("a", "y")}), ErrorCode::kCorrupt, "sha256 differs");
  ExpectRefused(Crafted({TarEntry("a", "xx")}), ErrorCode::kCorrupt, "longer than stated");
  ExpectRefused(Crafted({TarEntry("a", "")}), ErrorCode::kCorrupt, "0 bytes");
}

TEST_F(PackageTest, RefusesAnotherOrderOfTheFirstTwo) {
  const std::string text = WritePackageManifest(Manifest());
  ExpectRefused(
      Tar({TarEntry("manifest.sig", std::string(64, 's')), TarEntry("manifest.json", text)}),
      ErrorCode::kCorrupt, "manifest.json expected");
  ExpectRefused(Tar({TarEntry("manifest.json", text)}), ErrorCode::kCorrupt, "the end");
  ExpectRefused(Tar({TarEntry("manifest.json", text), TarEntry("manifest.sig", "short")}),
                ErrorCode::kCorrupt, "not 64 bytes");
}

TEST_F(PackageTest, ChecksTheSignatureBeforeAnyFile) {
  key_ = base::Ed25519Key::FromSeed(Bytes(32, 3)).value();
  Bytes archive = Crafted({TarEntry("a", "x")});
  key_ = base::Ed25519Key::FromSeed(Bytes(32, 4)).value();  // What the reader expects.
  ExpectRefused(archive, ErrorCode::kPermissionDenied, "not signed by");
  EXPECT_TRUE(sink_.files().empty());
}

TEST_F(PackageTest, RefusesWhatIsTooMuch) {
  ArchiveLimits few;
  few.files_max = 4;  // Manifest, signature and two of three.
  EXPECT_EQ(Read(Build(), few).error().code, ErrorCode::kExhausted);
  ArchiveLimits small;
  small.expanded_bytes_max = 4096;
  EXPECT_EQ(Read(Build(), small).error().code, ErrorCode::kExhausted);
  ArchiveLimits narrow;
  narrow.compressed_bytes_max = 100;
  EXPECT_EQ(Read(Build(), narrow).error().code, ErrorCode::kExhausted);
}

TEST_F(PackageTest, RefusesABomb) {
  // 40 MiB of zeros become about 40 KiB: a thousand to one.
  const std::vector<PackageFile> files = {{"zeros", "text/plain", Bytes(40u << 20, 0)}};
  const Bytes archive = BuildPackage(Manifest(), files, key_, ArchiveFormat::kTarGz).value();
  ASSERT_LT(archive.size(), 100'000u);
  ExpectRefused(archive, ErrorCode::kExhausted, "times");
}

TEST_F(PackageTest, NeverAcceptsATruncatedOrFlippedArchive) {
  const std::uint64_t seed = 20261120;
  SCOPED_TRACE(seed);
  base::Random random(seed);
  for (const ArchiveFormat format : kFormats) {
    const Bytes whole = Build(format);
    for (int i = 0; i < 100; ++i) {
      // A cut in the very tail of a tar or zip loses padding or the directory, not a file.
      const std::size_t cut = static_cast<std::size_t>(random.Below(whole.size() / 2));
      EXPECT_FALSE(Read(base::ByteView(whole).first(cut)).ok()) << Name(format) << " " << cut;
    }
    for (int i = 0; i < 300; ++i) {
      Bytes flipped = whole;
      const std::size_t at = static_cast<std::size_t>(random.Below(whole.size()));
      flipped[at] = static_cast<std::uint8_t>(flipped[at] ^ (1u << random.Below(8)));
      const auto result = Read(flipped);
      // Where it is still read (a time stamp, padding), it must be the very same content.
      if (result.ok()) {
        EXPECT_EQ(*sink_.Find("images/a.jpg"), Bytes(5000, 9));
        EXPECT_EQ(result->manifest.name, Manifest().name);
      }
    }
  }
}

TEST_F(PackageTest, RefusesWhatIsNoArchive) {
  EXPECT_FALSE(Read({}).ok());
  EXPECT_FALSE(Read(base::AsBytes("<html>not here</html>")).ok());
  EXPECT_FALSE(Read(Bytes(100'000, 0)).ok());
}

TEST_F(PackageTest, RefusesToBuildWhatNoReaderTakes) {
  const std::vector<PackageFile> outside = {{"../a", "text/plain", {}}};
  EXPECT_FALSE(BuildPackage(Manifest(), outside, key_, ArchiveFormat::kTarGz).ok());
  const std::vector<PackageFile> twice = {{"a", "text/plain", {}}, {"a", "text/plain", {}}};
  EXPECT_FALSE(BuildPackage(Manifest(), twice, key_, ArchiveFormat::kTarGz).ok());
  const std::vector<PackageFile> many(255, {"a", "text/plain", {}});
  EXPECT_EQ(BuildPackage(Manifest(), many, key_, ArchiveFormat::kTarGz).error().code,
            ErrorCode::kExhausted);
}

TEST_F(PackageTest, AManifestOfAnotherVersionIsUnsupportedNotMalformed) {
  std::string text = WritePackageManifest(Manifest());
  EXPECT_EQ(ParsePackageManifest(base::AsBytes(text)).value(), Manifest());
  text.replace(text.find("package/1"), 9, "package/2");
  EXPECT_EQ(ParsePackageManifest(base::AsBytes(text)).error().code, ErrorCode::kUnsupported);
}

TEST_F(PackageTest, AManifestMayHoldFieldsThisReaderDoesNotKnow) {
  std::string text = WritePackageManifest(Manifest());
  text.insert(1, "\"mood\":\"good\",");
  EXPECT_EQ(ParsePackageManifest(base::AsBytes(text)).value(), Manifest());
}

TEST_F(PackageTest, AManifestWhoseIdIsNotItsPartsIsRefused) {
  std::string text = WritePackageManifest(Manifest());
  text.replace(text.find("\"seq\":42"), 8, "\"seq\":43");
  EXPECT_FALSE(ParsePackageManifest(base::AsBytes(text)).ok());
}

TEST(PackageClassTest, PutsReportsFirstAndPicturesLast) {
  EXPECT_EQ(PackageClass("metrics"), 1);
  EXPECT_EQ(PackageClass("drift_event"), 2);
  EXPECT_EQ(PackageClass("something new"), 3);
  EXPECT_EQ(PackageClass("prediction_images"), 4);
}

class BundleTest : public testing::Test {
 protected:
  BundleManifest Manifest() const {
    BundleManifest manifest;
    manifest.name = "digits";
    manifest.version = "1.2.0";
    manifest.model_family = "digits-camera";
    manifest.min_agent = "0.1.0";
    manifest.input = {.kind = BundleInput::Kind::kImage,
                      .width = 96,
                      .height = 96,
                      .channels = "rgb",
                      .resize = "center_crop",
                      .scale = "uint8",
                      .source_width = 160,
                      .source_height = 120};
    manifest.labels = {"0", "1"};
    manifest.lineage.parent = std::string(64, 'b');
    manifest.licence = "Apache-2.0";
    manifest.files = {{"model.tflite", model_.size(), base::Sha256Hex(model_), "",
                       std::string(kRoleFeatureModel)}};
    return manifest;
  }
  Bytes Build() const {
    const std::vector<ArchiveFile> files = {{"model.tflite", model_}};
    return WriteSignedArchive(ArchiveFormat::kTarZst, kBundleSignaturePrefix,
                              WriteBundleManifest(Manifest()), publisher_, files)
        .value();
  }
  Bytes model_ = Bytes(1000, 5);
  base::Ed25519Key publisher_ = base::Ed25519Key::FromSeed(Bytes(32, 6)).value();
};

TEST_F(BundleTest, GoesThroughItsArchiveIntoAFolder) {
  tests::FakeFileSystem fs;
  ASSERT_TRUE(fs.CreateDirectories("slot").ok());
  FolderSink sink(fs, "slot");
  const Bytes archive = Build();
  MemorySource source(archive);
  const auto result = ReadBundle(source, kBundleLimits, publisher_.public_key(), sink).value();
  EXPECT_EQ(result.manifest, Manifest());
  EXPECT_EQ(result.bundle, base::Sha256Hex(base::AsBytes(WriteBundleManifest(Manifest()))));
  EXPECT_EQ(base::ReadFile(fs, "slot/model.tflite", 10'000).value(), model_);
  fs.Crash();  // Synced, so still there.
  EXPECT_EQ(base::ReadFile(fs, "slot/model.tflite", 10'000).value(), model_);
}

TEST_F(BundleTest, SignedByAnotherKeyNothingOfItIsLookedAt) {
  const Bytes archive = Build();
  MemorySource source(archive);
  MemorySink sink;
  const auto result =
      ReadBundle(source, kBundleLimits, base::Ed25519Key::Generate().public_key(), sink);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::kPermissionDenied);
  EXPECT_TRUE(sink.files().empty());
}

TEST_F(BundleTest, IsReadWithoutASignatureOnlyByWhoAsksForThat) {
  using Signature = SignedArchiveReader::Signature;
  const std::vector<ArchiveFile> files = {
      {"manifest.json", base::ToBytes(WriteBundleManifest(Manifest()))}, {"model.tflite", model_}};
  const Bytes archive = WriteArchive(ArchiveFormat::kTarZst, files).value();
  {
    MemorySource source(archive);
    const auto reader = SignedArchiveReader::Open(source, kBundleLimits);
    ASSERT_FALSE(reader.ok());
    EXPECT_EQ(reader.error().message, "archive: manifest.sig expected, found 'model.tflite'");
  }
  MemorySource source(archive);
  auto reader = SignedArchiveReader::Open(source, kBundleLimits, Signature::kOptional).value();
  EXPECT_FALSE(reader.is_signed());
  EXPECT_EQ(reader.Verify(kBundleSignaturePrefix, publisher_.public_key()).error().code,
            ErrorCode::kPermissionDenied);
  MemorySink sink;
  ASSERT_TRUE(reader.ReadFiles(Manifest().files, sink).ok());
  ASSERT_NE(sink.Find("model.tflite"), nullptr);
  EXPECT_EQ(*sink.Find("model.tflite"), model_);
}

TEST_F(BundleTest, OfAManifestAloneItsFilesAreMissing) {
  const std::vector<ArchiveFile> files = {
      {"manifest.json", base::ToBytes(WriteBundleManifest(Manifest()))}};
  const Bytes archive = WriteArchive(ArchiveFormat::kTarZst, files).value();
  MemorySource source(archive);
  auto reader =
      SignedArchiveReader::Open(source, kBundleLimits, SignedArchiveReader::Signature::kOptional)
          .value();
  MemorySink sink;
  EXPECT_EQ(reader.ReadFiles(Manifest().files, sink).error().code, ErrorCode::kCorrupt);
}

TEST_F(BundleTest, ASignatureForAPackageIsNoneForABundle) {
  const std::vector<ArchiveFile> files = {{"model.tflite", model_}};
  const Bytes archive = WriteSignedArchive(ArchiveFormat::kTarZst, kPackageSignaturePrefix,
                                           WriteBundleManifest(Manifest()), publisher_, files)
                            .value();
  MemorySource source(archive);
  EXPECT_FALSE(ReadBundleManifest(source, kBundleLimits, publisher_.public_key()).ok());
}

TEST_F(BundleTest, ManifestsOfRowsGoThroughToo) {
  BundleManifest manifest = Manifest();
  manifest.input = {.kind = BundleInput::Kind::kRow, .channel_count = 2};
  manifest.input.channel_names = {"a", "b"};
  EXPECT_EQ(ParseBundleManifest(base::AsBytes(WriteBundleManifest(manifest))).value(), manifest);
  EXPECT_EQ(manifest.FileWithRole(kRoleFeatureModel)->path, "model.tflite");
  EXPECT_EQ(manifest.FileWithRole(kRoleCanary), nullptr);
}

TEST_F(BundleTest, ManifestsThatCannotBeAreRefused) {
  BundleManifest manifest = Manifest();
  manifest.labels = {"0", "0"};
  EXPECT_FALSE(ParseBundleManifest(base::AsBytes(WriteBundleManifest(manifest))).ok());
  manifest = Manifest();
  manifest.files[0].path = "../model.tflite";
  EXPECT_FALSE(ParseBundleManifest(base::AsBytes(WriteBundleManifest(manifest))).ok());
  manifest = Manifest();
  manifest.files[0].sha256 = "no";
  EXPECT_FALSE(ParseBundleManifest(base::AsBytes(WriteBundleManifest(manifest))).ok());
}

TEST(IsAtLeast, ComparesNumbersNotTexts) {
  EXPECT_TRUE(IsAtLeast("0.10.0", "0.9.0"));
  EXPECT_TRUE(IsAtLeast("1.0", "1.0.0"));
  EXPECT_TRUE(IsAtLeast("1.0.0-rc1", "1.0.0"));
  EXPECT_FALSE(IsAtLeast("0.9.9", "1.0.0"));
}

}  // namespace
}  // namespace protocol
