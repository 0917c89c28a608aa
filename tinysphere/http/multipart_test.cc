#include "tinysphere/http/multipart.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "tests/support/fake_file_system.h"

namespace tinysphere::http {
namespace {

using base::AsBytes;
using base::ErrorCode;

constexpr std::string_view kType = "multipart/form-data; boundary=\"XbX\"";

std::string Part(const std::string& disposition, const std::string& data) {
  return "--XbX\r\nContent-Disposition: form-data; " + disposition + "\r\n\r\n" + data + "\r\n";
}
const std::string kEnd = "--XbX--\r\n";

// What a reader told, as one text: "<name|file>data</>".
base::Result<std::string> Read(const std::string& body, std::size_t piece,
                               MultipartReader::Options options = {}) {
  std::string told;
  MultipartReader::Events events;
  events.begin = [&](const PartHeader& part) -> base::Status {
    told += "<" + part.name + "|" + part.file_name + ">";
    return {};
  };
  events.data = [&](base::ByteView bytes) -> base::Status {
    told += base::AsText(bytes);
    return {};
  };
  events.end = [&]() -> base::Status {
    told += "</>";
    return {};
  };
  auto reader = MultipartReader::Create(kType, events, options);
  if (!reader.ok()) return reader.error();
  for (std::size_t at = 0; at < body.size(); at += piece) {
    const base::Status fed = reader->Feed(AsBytes(std::string_view(body).substr(at, piece)));
    if (!fed.ok()) return fed.error();
  }
  const base::Status finished = reader->Finish();
  if (!finished.ok()) return finished.error();
  return told;
}

const std::string kTwoParts =
    Part("name=\"metadata\"", "{}") +
    Part("name=\"package\"; filename=\"a.tar.gz\"", "zip\r\n--Xb not yet") + kEnd;
const std::string kTold = "<metadata|>{}</><package|a.tar.gz>zip\r\n--Xb not yet</>";

TEST(Multipart, ReadsTheSameHoweverItIsCutUp) {
  for (std::size_t piece = 1; piece <= kTwoParts.size(); ++piece) {
    const auto told = Read(kTwoParts, piece);
    ASSERT_TRUE(told.ok()) << piece << ": " << told.error().message;
    EXPECT_EQ(*told, kTold) << piece;
  }
}

TEST(Multipart, SkipsWhatStandsBeforeAndAfter) {
  EXPECT_EQ(Read("preamble\r\n" + kTwoParts + "epilogue", 3).value(), kTold);
}

TEST(Multipart, ReadsAnEmptyPart) {
  for (std::size_t piece : {1, 2, 3, 5, 1000}) {
    EXPECT_EQ(Read(Part("name=a", "") + Part("name=b", "x") + kEnd, piece).value(),
              "<a|></><b|>x</>")
        << piece;
  }
}

TEST(Multipart, AllowsBlanksAfterABoundary) {
  EXPECT_EQ(
      Read("--XbX \t\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n--XbX--", 4).value(),
      "<a|>x</>");
}

TEST(Multipart, NoticesABodyThatWasCutShort) {
  for (std::size_t size = 0; size + 4 < kTwoParts.size(); ++size) {
    const auto told = Read(kTwoParts.substr(0, size), 7);
    ASSERT_FALSE(told.ok()) << size;
    EXPECT_EQ(told.error().code, ErrorCode::kCorrupt) << size;
  }
}

TEST(Multipart, RefusesWhatIsMalformed) {
  for (const std::string& body :
       {std::string("--XbXjunk\r\n"), std::string("--XbX\r\nno colon\r\n\r\n"),
        std::string("--XbX\r\nContent-Type: a/b\r\n\r\nx\r\n--XbX--"),
        std::string("--XbX\r\nContent-Disposition: form-data\r\n\r\nx\r\n--XbX--"),
        std::string("--XbX\r\nContent-Disposition: attachment; name=a\r\n\r\nx\r\n--XbX--")}) {
    const auto told = Read(body, 1000);
    ASSERT_FALSE(told.ok()) << body;
    EXPECT_EQ(told.error().code, ErrorCode::kInvalidArgument) << body;
  }
}

TEST(Multipart, RefusesTooMuchHeaderAndTooManyParts) {
  const auto header = Read("--XbX\r\nX: " + std::string(5000, 'x'), 100);
  ASSERT_FALSE(header.ok());
  EXPECT_EQ(header.error().code, ErrorCode::kInvalidArgument);
  std::string many;
  for (int i = 0; i < 9; ++i) many += Part("name=a", "x");
  const auto parts = Read(many + kEnd, 100);
  ASSERT_FALSE(parts.ok());
  EXPECT_EQ(parts.error().code, ErrorCode::kInvalidArgument);
}

TEST(Multipart, RefusesABoundaryThatIsNone) {
  for (const char* type :
       {"text/plain", "multipart/form-data",
        "multipart/form-data; boundary=", "multipart/form-data; boundary=\"a\tb\"",
        "multipart/form-data; boundary=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}) {
    EXPECT_FALSE(MultipartReader::Create(type, {}).ok()) << type;
  }
}

// Random bytes, mostly of the characters that matter here: no crash, and an answer.
TEST(Multipart, SurvivesNoise) {
  constexpr std::uint64_t kSeed = 20261121;
  SCOPED_TRACE(kSeed);
  base::Random random(kSeed);
  constexpr std::string_view kLetters = "\r\n-XbX:;=\" a";
  for (int round = 0; round < 2000; ++round) {
    std::string body = "--XbX\r\n";
    const std::uint64_t size = random.Below(200);
    for (std::uint64_t i = 0; i < size; ++i) body += kLetters[random.Below(kLetters.size())];
    (void)Read(body, 1 + random.Below(9)).ok();
  }
}

class MultipartUploadTest : public testing::Test {
 protected:
  base::Result<MultipartUpload> Read(const std::string& body, std::uint64_t bytes_max = 1000) {
    Request request;
    request.headers.Add("Content-Type", std::string(kType));
    fs_.Write("/spool/body", AsBytes(body));
    request.body = Body(fs_, "/spool/body", body.size(), base::Sha256Of(AsBytes(body)));
    return ReadMultipartUpload(fs_, request, "/spool/package", bytes_max);
  }
  tests::FakeFileSystem fs_;
};

TEST_F(MultipartUploadTest, SpoolsThePackageAndHashesIt) {
  const std::string package(300'000, 'p');
  const auto upload =
      Read(Part("name=metadata", "{\"seq\":1}") + Part("name=package; filename=x", package) + kEnd,
           1 << 20);
  ASSERT_TRUE(upload.ok()) << upload.error().message;
  EXPECT_EQ(upload->metadata, "{\"seq\":1}");
  EXPECT_EQ(upload->package.bytes(), package.size());
  EXPECT_EQ(upload->package.sha256(), base::Sha256Of(AsBytes(package)));
  EXPECT_EQ(base::ReadTextFile(fs_, upload->package.path(), 1 << 20).value(), package);
}

TEST_F(MultipartUploadTest, RefusesOtherPartsAnotherOrderAndTooMuch) {
  const std::string metadata = Part("name=metadata", "{}");
  const std::string package = Part("name=package", "0123456789");
  for (const std::string& body :
       {package + metadata + kEnd, metadata + kEnd, metadata + Part("name=other", "x") + kEnd,
        metadata + package + package + kEnd, metadata + metadata + kEnd}) {
    EXPECT_FALSE(Read(body).ok()) << body;
    EXPECT_FALSE(base::Exists(fs_, "/spool/package"));
  }
  EXPECT_TRUE(Read(metadata + package + kEnd, 10).ok());
  EXPECT_FALSE(Read(metadata + package + kEnd, 9).ok());
}

}  // namespace
}  // namespace tinysphere::http
