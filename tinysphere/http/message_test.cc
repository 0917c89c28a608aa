#include "tinysphere/http/message.h"

#include <gtest/gtest.h>

#include "tests/support/fake_file_system.h"

namespace tinysphere::http {
namespace {

using base::AsBytes;
using base::ErrorCode;

Request Target(std::string_view target) {
  Request request;
  const base::Status status = SetTarget(request, target);
  EXPECT_TRUE(status.ok());
  return request;
}

TEST(Target, IsTakenApart) {
  const Request request = Target("/api/v1/devices/a%20b?limit=7&cursor=x%2By&empty=&a=b+c");
  EXPECT_EQ(request.path, "/api/v1/devices/a b");
  EXPECT_EQ(request.raw_path, "/api/v1/devices/a%20b");
  EXPECT_EQ(request.raw_query, "limit=7&cursor=x%2By&empty=&a=b+c");
  EXPECT_EQ(request.Query("cursor"), "x+y");
  EXPECT_EQ(request.Query("a"), "b c");
  EXPECT_EQ(request.Query("nothing"), "");
  EXPECT_EQ(request.Limit(), 7u);
}

TEST(Target, KeepsPageSizesWithinBounds) {
  EXPECT_EQ(Target("/a").Limit(50, 200), 50u);
  EXPECT_EQ(Target("/a?limit=0").Limit(50, 200), 1u);
  EXPECT_EQ(Target("/a?limit=100000").Limit(50, 200), 200u);
  EXPECT_EQ(Target("/a?limit=many").Limit(50, 200), 50u);
}

TEST(Target, IsRefusedWhereItLeadsElsewhere) {
  for (const char* target : {"", "a", "http://host/", "/a/../b", "/a/%2e%2e/b", "/a/./b", "/%zz",
                             "/a%00b", "/a%0db", "/a%2", "*", "/a?x=%0a"}) {
    Request request;
    EXPECT_FALSE(SetTarget(request, target).ok()) << target;
  }
}

TEST(Headers, CompareWithoutRegardToCase) {
  Headers headers;
  headers.Add("Content-Digest", "a");
  headers.Add("content-digest", "b");
  EXPECT_EQ(headers.Get("CONTENT-DIGEST"), "a");
  EXPECT_EQ(headers.Combined("Content-digest"), "a, b");
  headers.Set("CoNtEnT-DiGeSt", "c");
  EXPECT_EQ(headers.Combined("content-digest"), "c");
  EXPECT_EQ(headers.Combined("other"), std::nullopt);
}

TEST(Body, RemovesItsFileUnlessSomebodyMovedIt) {
  tests::FakeFileSystem fs;
  fs.Write("/spool/a", AsBytes("x"));
  fs.Write("/spool/b", AsBytes("x"));
  {
    const Body a(fs, "/spool/a", 1, {});
    Body b(fs, "/spool/b", 1, {});
    ASSERT_TRUE(fs.Rename("/spool/b", "/kept").ok());
    const Body moved = std::move(b);
    EXPECT_TRUE(moved.is_spooled());
  }
  EXPECT_FALSE(base::Exists(fs, "/spool/a"));
  EXPECT_TRUE(base::Exists(fs, "/kept"));
}

TEST(ErrorResponse, GivesEachErrorItsStatus) {
  const std::pair<ErrorCode, int> expected[] = {
      {ErrorCode::kInvalidArgument, 400}, {ErrorCode::kPermissionDenied, 403},
      {ErrorCode::kNotFound, 404},        {ErrorCode::kConflict, 409},
      {ErrorCode::kUnsupported, 415},     {ErrorCode::kCorrupt, 422},
      {ErrorCode::kInternal, 500},        {ErrorCode::kUnavailable, 503},
      {ErrorCode::kExhausted, 503}};
  for (const auto& [code, status] : expected) {
    EXPECT_EQ(ErrorResponse({code, "why"}).status, status) << base::Name(code);
  }
}

TEST(ErrorResponse, NamesCodeMessageAndField) {
  const Response response = ErrorResponse({ErrorCode::kInvalidArgument, "too long"}, "name");
  EXPECT_EQ(std::get<std::string>(response.body),
            R"({"error":{"code":"invalid_argument","message":"too long","field":"name"}})");
}

TEST(ErrorResponse, KeepsInternalsToItself) {
  const Response response = ErrorResponse({ErrorCode::kInternal, "SELECT secret FROM x"});
  EXPECT_EQ(std::get<std::string>(response.body).find("SELECT"), std::string::npos);
}

TEST(ErrorResponse, AsksToComeBackWhenBusy) {
  EXPECT_TRUE(ErrorResponse({ErrorCode::kExhausted, "full"}).headers.Has("Retry-After"));
}

class FileResponseTest : public testing::Test {
 protected:
  FileResponseTest() { fs_.Write("/file", AsBytes("0123456789")); }
  Response Get(const char* name = nullptr, const char* value = nullptr) {
    Request request;
    if (name) request.headers.Add(name, value);
    std::shared_ptr<const base::ReadableFile> file = fs_.Open("/file").value();
    return Response::File(request, std::move(file), "application/zstd", "abc", true);
  }
  static std::pair<std::uint64_t, std::uint64_t> StretchOf(const Response& response) {
    const auto& stretch = std::get<Stretch>(response.body);
    return {stretch.offset, stretch.bytes};
  }
  tests::FakeFileSystem fs_;
};

using OffsetAndBytes = std::pair<std::uint64_t, std::uint64_t>;

TEST_F(FileResponseTest, GivesTheWhole) {
  const Response response = Get();
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(StretchOf(response), OffsetAndBytes(0, 10));
  EXPECT_EQ(response.headers.Get("ETag"), "\"abc\"");
}

TEST_F(FileResponseTest, GivesARange) {
  EXPECT_EQ(StretchOf(Get("Range", "bytes=2-4")), OffsetAndBytes(2, 3));
  EXPECT_EQ(StretchOf(Get("Range", "bytes=7-")), OffsetAndBytes(7, 3));
  EXPECT_EQ(StretchOf(Get("Range", "bytes=-4")), OffsetAndBytes(6, 4));
  EXPECT_EQ(StretchOf(Get("Range", "bytes=5-99")), OffsetAndBytes(5, 5));
  const Response part = Get("Range", "bytes=2-4");
  EXPECT_EQ(part.status, 206);
  EXPECT_EQ(part.headers.Get("Content-Range"), "bytes 2-4/10");
}

TEST_F(FileResponseTest, RefusesARangeBeyondTheEnd) {
  EXPECT_EQ(Get("Range", "bytes=10-").status, 416);
  EXPECT_EQ(Get("Range", "bytes=-0").status, 416);
}

TEST_F(FileResponseTest, IgnoresARangeItDoesNotUnderstand) {
  for (const char* range : {"bytes=4-2", "bytes=a-b", "bytes=1-2,4-5", "items=1-2",
                            "bytes=", "bytes=99999999999999999999-"}) {
    EXPECT_EQ(Get("Range", range).status, 200) << range;
  }
}

TEST_F(FileResponseTest, SaysWhenNothingChanged) {
  EXPECT_EQ(Get("If-None-Match", "\"abc\"").status, 304);
  EXPECT_EQ(Get("If-None-Match", "\"old\", \"abc\"").status, 304);
  EXPECT_EQ(Get("If-None-Match", "\"old\"").status, 200);
}

}  // namespace
}  // namespace tinysphere::http
