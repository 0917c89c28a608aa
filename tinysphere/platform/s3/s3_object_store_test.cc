// What the S3 store does beyond the contract: against a store in memory that can be told to fail.

#include "tinysphere/platform/s3/s3_object_store.h"

#include <gtest/gtest.h>

#include "base/crypto.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_file_system.h"
#include "tinysphere/platform/s3/fake_s3_test.h"

namespace tinysphere::s3 {
namespace {

using base::AsBytes;
using base::ErrorCode;
using tests::HttpAnswer;
using tests::HttpRequest;

class S3ObjectStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    store_ = Open({});
    s3_.Calls();
  }

  std::unique_ptr<store::ObjectStore> Open(Options options) {
    options.location = s3_.location();
    options.spool = "/spool";
    auto store = OpenObjectStore(disk_, clock_, outbound::MakeHttpClient({}).value(), options);
    EXPECT_TRUE(store.ok()) << store.error().message;
    return std::move(store).value();
  }
  // The first `count` calls of `method` are answered by `make`.
  void FailFirst(int count, const std::string& method, std::function<HttpAnswer()> make) {
    auto left = std::make_shared<int>(count);
    s3_.SetFault([=](const HttpRequest& request) -> std::optional<HttpAnswer> {
      if (request.method != method || *left == 0) return std::nullopt;
      --*left;
      return make();
    });
  }
  static std::string Text(std::size_t bytes) {
    std::string text(bytes, ' ');
    for (std::size_t i = 0; i < bytes; ++i)
      text[i] = static_cast<char>('a' + (i * 7 + i / 251) % 26);
    return text;
  }
  std::string Get(const std::string& key) {
    auto got = store_->GetBytes(key, 64u << 20);
    return got.ok() ? std::string(base::AsText(*got)) : got.error().message;
  }
  std::size_t SpooledFiles() { return disk_.List("/spool").value().size(); }

  FakeS3 s3_;
  tests::FakeFileSystem disk_;
  tests::FakeClock clock_;
  std::unique_ptr<store::ObjectStore> store_;
};

TEST_F(S3ObjectStoreTest, MakesItsBucketsOnce) {
  for (const char* bucket : {"fake-packages", "fake-bundles", "fake-drift-samples",
                             "fake-data-logs", "fake-prediction-images"}) {
    EXPECT_TRUE(s3_.Objects(bucket).empty());
  }
  (void)Open({});
  for (const std::string& call : s3_.Calls()) EXPECT_TRUE(call.starts_with("HEAD ")) << call;
}

TEST_F(S3ObjectStoreTest, LaysAKeyIntoTheBucketOfItsFirstPart) {
  ASSERT_TRUE(store_->PutBytes("packages/d-1/e=1/7", AsBytes("x")).ok());
  EXPECT_EQ(s3_.Objects("fake-packages"), (std::map<std::string, std::string>{{"d-1/e=1/7", "x"}}));
}

TEST_F(S3ObjectStoreTest, RefusesABucketThatIsNoneOfOurs) {
  const base::Status put = store_->PutBytes("elsewhere/a", AsBytes("x"));
  ASSERT_FALSE(put.ok());
  EXPECT_EQ(put.error().code, ErrorCode::kInvalidArgument);
}

TEST_F(S3ObjectStoreTest, TriesAgainWhatMayPass) {
  for (const auto& make :
       std::vector<std::function<HttpAnswer()>>{[] { return FakeS3::Error(503, "SlowDown"); },
                                                [] { return FakeS3::Error(500, "InternalError"); },
                                                [] { return HttpAnswer::Nothing(); }}) {
    FailFirst(2, "PUT", make);
    const base::Status put = store_->PutBytes("bundles/a", AsBytes("x"));
    ASSERT_TRUE(put.ok()) << put.error().message;
    EXPECT_EQ(Get("bundles/a"), "x");
    EXPECT_EQ(s3_.Calls().size(), 4u);  // Two that failed, one that did not, the reading.
  }
}

TEST_F(S3ObjectStoreTest, GivesUpInTheEnd) {
  const base::Duration before = clock_.Uptime();
  FailFirst(1000, "PUT", [] { return FakeS3::Error(503, "SlowDown"); });
  const base::Status put = store_->PutBytes("bundles/a", AsBytes("x"));
  ASSERT_FALSE(put.ok());
  EXPECT_EQ(put.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(put.error().message.find("fake-bundles/a"), std::string::npos) << put.error().message;
  EXPECT_NE(put.error().message.find("SlowDown"), std::string::npos);
  EXPECT_EQ(s3_.Calls().size(), 4u);
  // Pauses of at most 200, 400 and 800 ms.
  EXPECT_LE(clock_.Uptime() - before, std::chrono::milliseconds(1400));
}

TEST_F(S3ObjectStoreTest, PutsErrorsInWordsAndKeepsSecrets) {
  const struct {
    int status;
    const char* code;
    ErrorCode is;
    const char* words;
  } cases[] = {
      {403, "SignatureDoesNotMatch", ErrorCode::kUnavailable, "AWS_SECRET_ACCESS_KEY"},
      {403, "RequestTimeTooSkewed", ErrorCode::kUnavailable, "clock says 2026-11-20T12:00:00"},
      {404, "NoSuchBucket", ErrorCode::kUnavailable, "makes its buckets"},
      {301, "PermanentRedirect", ErrorCode::kUnavailable, "region"},
      {507, "XMinioStorageFull", ErrorCode::kExhausted, "XMinioStorageFull"},
      {400, "ExpiredToken", ErrorCode::kUnavailable, "ExpiredToken"},
      {400, "RequestTimeout", ErrorCode::kUnavailable, "RequestTimeout"},
      {400, "SlowDown", ErrorCode::kUnavailable, "SlowDown"},
      {400, "InvalidArgument", ErrorCode::kInternal, "InvalidArgument"},
  };
  for (const auto& one : cases) {
    FailFirst(4, "PUT", [&] { return FakeS3::Error(one.status, one.code); });
    const base::Status put = store_->PutBytes("bundles/a", AsBytes("x"));
    ASSERT_FALSE(put.ok()) << one.code;
    EXPECT_EQ(put.error().code, one.is) << one.code;
    EXPECT_NE(put.error().message.find(one.words), std::string::npos) << put.error().message;
    EXPECT_EQ(put.error().message.find("fake/secret+key"), std::string::npos);
  }
}

TEST_F(S3ObjectStoreTest, ReadsASmallContentInOneCall) {
  ASSERT_TRUE(store_->PutBytes("bundles/a", AsBytes(Text(256u << 10))).ok());
  s3_.Calls();
  EXPECT_EQ(Get("bundles/a"), Text(256u << 10));
  EXPECT_EQ(s3_.Calls(), (std::vector<std::string>{"GET /fake-bundles/a"}));
}

TEST_F(S3ObjectStoreTest, ReadsAheadOfWhoReadsOn) {
  const std::string text = Text(5'000'000);
  s3_.Write("fake-bundles", "a", text);
  const auto file = store_->Get("bundles/a").value();
  ASSERT_EQ(file->size(), text.size());
  s3_.Calls();
  std::string read;
  base::Bytes piece(10'000);
  while (true) {
    const auto got = file->ReadAt(read.size(), piece);
    ASSERT_TRUE(got.ok()) << got.error().message;
    if (*got == 0) break;
    read += base::AsText(base::ByteView(piece).first(*got));
  }
  EXPECT_EQ(read, text);
  // 256 KiB came with the opening; (5,000,000 - 262,144) / 1 MiB is 4.5.
  EXPECT_EQ(s3_.Calls().size(), 5u);
}

TEST_F(S3ObjectStoreTest, NeverMixesTwoVersionsOfAContent) {
  s3_.Write("fake-bundles", "a", std::string(1'000'000, 'a'));
  const auto file = store_->Get("bundles/a").value();
  s3_.Write("fake-bundles", "a", std::string(1'000'000, 'b'));
  base::Bytes piece(1000);
  EXPECT_TRUE(file->ReadAt(0, piece).ok());  // Was there already.
  const auto got = file->ReadAt(900'000, piece);
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.error().code, ErrorCode::kUnavailable);
  // A store that does not know If-Match, as some do.
  s3_.SetFault([](const HttpRequest&) -> std::optional<HttpAnswer> {
    return HttpAnswer::Of(206, std::string(100'000, 'b'),
                          {"ETag: \"other\"", "Content-Range: bytes 900000-999999/1000000"});
  });
  EXPECT_FALSE(file->ReadAt(900'000, piece).ok());
}

TEST_F(S3ObjectStoreTest, TakesLessThanItWasPromisedForNoAnswer) {
  s3_.SetFault([](const HttpRequest&) -> std::optional<HttpAnswer> {
    return HttpAnswer::Of(206, "half", {"ETag: \"e\"", "Content-Range: bytes 0-7/8"});
  });
  const auto file = store_->Get("bundles/a");
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().code, ErrorCode::kUnavailable);
}

TEST_F(S3ObjectStoreTest, UploadsALargeContentInParts) {
  store_ = Open({.part_bytes = 100'000});
  s3_.Calls();
  const std::string text = Text(250'001);
  ASSERT_TRUE(store_->PutBytes("bundles/a", AsBytes(text)).ok());
  EXPECT_EQ(s3_.Objects("fake-bundles")["a"], text);
  EXPECT_EQ(s3_.open_uploads(), 0u);
  // Begin, three parts, complete.
  EXPECT_EQ(s3_.Calls().size(), 5u);
}

TEST_F(S3ObjectStoreTest, AbortsAnUploadThatFails) {
  store_ = Open({.part_bytes = 100'000});
  s3_.SetFault([](const HttpRequest& request) -> std::optional<HttpAnswer> {
    if (request.target.find("partNumber=2") == std::string::npos) return std::nullopt;
    return FakeS3::Error(507, "XMinioStorageFull");
  });
  const base::Status put = store_->PutBytes("bundles/a", AsBytes(Text(250'000)));
  ASSERT_FALSE(put.ok());
  EXPECT_EQ(put.error().code, ErrorCode::kExhausted);
  EXPECT_EQ(s3_.open_uploads(), 0u);
  EXPECT_TRUE(s3_.Objects("fake-bundles").empty());
}

TEST_F(S3ObjectStoreTest, BelievesACompletionOnlyIfItHoldsNoError) {
  // S3 may answer 200 before it has put the parts together.
  store_ = Open({.part_bytes = 100'000});
  s3_.SetFault([](const HttpRequest& request) -> std::optional<HttpAnswer> {
    if (request.method != "POST" || request.target.find("uploadId") == std::string::npos) {
      return std::nullopt;
    }
    return FakeS3::Error(200, "InternalError");
  });
  EXPECT_FALSE(store_->PutBytes("bundles/a", AsBytes(Text(250'000))).ok());
  EXPECT_EQ(s3_.open_uploads(), 0u);
}

TEST_F(S3ObjectStoreTest, SpoolsWhatIsLargeAndLeavesNothingBehind) {
  {
    auto writer = store_->Put("bundles/a").value();
    ASSERT_TRUE(writer->Append(AsBytes(Text(200'000))).ok());
    EXPECT_EQ(SpooledFiles(), 0u);
    ASSERT_TRUE(writer->Append(AsBytes(Text(200'000))).ok());
    EXPECT_EQ(SpooledFiles(), 1u);
    ASSERT_TRUE(writer->Commit().ok());
  }
  EXPECT_EQ(SpooledFiles(), 0u);
  EXPECT_EQ(Get("bundles/a"), Text(200'000) + Text(200'000));
  {
    auto writer = store_->Put("bundles/b").value();
    ASSERT_TRUE(writer->Append(AsBytes(Text(400'000))).ok());
  }
  EXPECT_EQ(SpooledFiles(), 0u);
  EXPECT_FALSE(store_->Exists("bundles/b").value());
}

TEST_F(S3ObjectStoreTest, AcceptsNothingLargeWhenTheDiskItSpoolsToIsNearlyFull) {
  disk_.SetCapacity(1000);
  auto writer = store_->Put("bundles/a").value();
  const base::Status appended = writer->Append(AsBytes(Text(300'000)));
  ASSERT_FALSE(appended.ok());
  EXPECT_EQ(appended.error().code, ErrorCode::kExhausted);
  EXPECT_FALSE(store_->Check().ok());
}

TEST_F(S3ObjectStoreTest, KeepsTheSpooledFileWhereTheStoreDidNotTakeIt) {
  ASSERT_TRUE(base::WriteFileDurably(disk_, "/arrived", AsBytes("body")).ok());
  FailFirst(4, "PUT", [] { return FakeS3::Error(503, "SlowDown"); });
  EXPECT_FALSE(store_->Adopt("packages/d/e/1", "/arrived").ok());
  EXPECT_TRUE(base::Exists(disk_, "/arrived"));
  ASSERT_TRUE(store_->Adopt("packages/d/e/1", "/arrived").ok());
  EXPECT_FALSE(base::Exists(disk_, "/arrived"));
}

TEST_F(S3ObjectStoreTest, DeletesManyInOneCallABucket) {
  const std::vector<std::string> keys = {"bundles/a", "packages/a", "bundles/b", "bundles/none"};
  for (const std::string& key : keys) {
    if (key == "bundles/none") continue;
    ASSERT_TRUE(store_->PutBytes(key, AsBytes("x")).ok());
  }
  s3_.Calls();
  ASSERT_TRUE(store_->DeleteAll(keys).ok());
  EXPECT_EQ(s3_.Calls(), (std::vector<std::string>{"POST /fake-bundles", "POST /fake-packages"}));
  EXPECT_TRUE(s3_.Objects("fake-bundles").empty());
  EXPECT_TRUE(s3_.Objects("fake-packages").empty());
}

TEST_F(S3ObjectStoreTest, SaysWhichCouldNotBeDeleted) {
  FailFirst(1, "POST", [] {
    return HttpAnswer::Of(200,
                          "<DeleteResult><Error><Key>a</Key><Code>AccessDenied</Code></Error>"
                          "</DeleteResult>");
  });
  const std::vector<std::string> keys = {"bundles/a"};
  const base::Status deleted = store_->DeleteAll(keys);
  ASSERT_FALSE(deleted.ok());
  EXPECT_NE(deleted.error().message.find("fake-bundles/a: AccessDenied"), std::string::npos)
      << deleted.error().message;
}

TEST_F(S3ObjectStoreTest, LeavesOutWhatItDidNotPut) {
  s3_.Write("fake-bundles", "with space", "x");
  s3_.Write("fake-bundles", "plain", "x");
  const auto listed = store_->List("bundles/", "", 10).value();
  ASSERT_EQ(listed.size(), 1u);
  EXPECT_EQ(listed[0].key, "bundles/plain");
}

TEST_F(S3ObjectStoreTest, NamesTheVirtualHostInAPresignedUrl) {
  Options options{.location = s3_.location(), .spool = "/spool", .makes_buckets = false};
  options.location.is_virtual_host = true;
  options.location.host = "store.example";
  auto store =
      OpenObjectStore(disk_, clock_, outbound::MakeHttpClient({}).value(), options).value();
  const auto url =
      store->Presign("bundles/a=1", store::Presigned::kGet, std::chrono::minutes(5)).value();
  ASSERT_TRUE(url.has_value());
  EXPECT_TRUE(url->starts_with("http://fake-bundles.store.example/a%3D1?X-Amz-Algorithm=")) << *url;
  EXPECT_FALSE(store->Presign("bundles/a", store::Presigned::kGet, std::chrono::hours(200)).ok());
}

}  // namespace
}  // namespace tinysphere::s3
