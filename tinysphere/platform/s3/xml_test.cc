#include "tinysphere/platform/s3/xml.h"

#include <gtest/gtest.h>

namespace tinysphere::s3 {
namespace {

using base::ErrorCode;

TEST(S3Xml, ReadsAPageOfAListing) {
  // After the sample response of ListObjectsV2 in the API reference.
  const auto page = ReadListPage(R"(<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
  <Name>quotes</Name><Prefix>E</Prefix><KeyCount>2</KeyCount><MaxKeys>2</MaxKeys>
  <IsTruncated>true</IsTruncated><NextContinuationToken>1ueG/a+b=</NextContinuationToken>
  <Contents><Key>ExampleObject.txt</Key><LastModified>2013-09-17T18:07:53.000Z</LastModified>
    <ETag>&quot;599bab3ed2c697f1d26842727561fd94&quot;</ETag><Size>857</Size></Contents>
  <Contents><Key>E&amp;F</Key><LastModified>2013-09-17T18:07:54Z</LastModified><Size>0</Size>
  </Contents></ListBucketResult>)");
  ASSERT_TRUE(page.ok()) << page.error().message;
  ASSERT_EQ(page->objects.size(), 2u);
  EXPECT_EQ(page->objects[0].key, "ExampleObject.txt");
  EXPECT_EQ(page->objects[0].bytes, 857u);
  EXPECT_EQ(base::FormatTime(page->objects[0].modified), "2013-09-17T18:07:53.000Z");
  EXPECT_EQ(page->objects[1].key, "E&F");
  EXPECT_EQ(page->continuation, "1ueG/a+b=");
}

TEST(S3Xml, KnowsTheLastPage) {
  const auto page =
      ReadListPage("<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>");
  ASSERT_TRUE(page.ok());
  EXPECT_TRUE(page->objects.empty());
  EXPECT_EQ(page->continuation, "");
}

TEST(S3Xml, TakesNothingElseForAListing) {
  for (const char* body :
       {"", "<html><body>Login</body></html>", "<ListBucketResult><Contents>",
        "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
        "<ListBucketResult><Contents><Key>a</Key><Size>-1</Size>"
        "<LastModified>2013-09-17T18:07:53Z</LastModified></Contents></ListBucketResult>",
        "<ListBucketResult><Contents><Key>a</Key><Size>1</Size></Contents></ListBucketResult>"}) {
    const auto page = ReadListPage(body);
    ASSERT_FALSE(page.ok()) << body;
    EXPECT_EQ(page.error().code, ErrorCode::kUnavailable) << body;
  }
}

TEST(S3Xml, ReadsErrors) {
  const auto error =
      ReadError("<Error><Code>NoSuchKey</Code><Message>gone</Message><Key>a</Key></Error>");
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code, "NoSuchKey");
  EXPECT_EQ(error->message, "gone");
  EXPECT_FALSE(ReadError("").has_value());
  EXPECT_FALSE(ReadError("<ListBucketResult/>").has_value());
}

TEST(S3Xml, ReadsWhatCouldNotBeDeleted) {
  const auto errors = ReadDeleteErrors(
      "<DeleteResult><Deleted><Key>a</Key></Deleted>"
      "<Error><Key>b</Key><Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>");
  ASSERT_TRUE(errors.ok());
  ASSERT_EQ(errors->size(), 1u);
  EXPECT_EQ(errors->front().first, "b");
  EXPECT_EQ(errors->front().second.code, "AccessDenied");
}

TEST(S3Xml, WritesItsRequests) {
  const std::vector<std::string> keys = {"a", "b&c"};
  EXPECT_EQ(WriteDelete(keys),
            "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Object><Key>a</Key>"
            "</Object><Object><Key>b&amp;c</Key></Object><Quiet>true</Quiet></Delete>");
  const std::vector<std::string> etags = {"\"x\"", "\"y\""};
  EXPECT_EQ(WriteComplete(etags),
            "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Part>"
            "<PartNumber>1</PartNumber><ETag>\"x\"</ETag></Part><Part><PartNumber>2</PartNumber>"
            "<ETag>\"y\"</ETag></Part></CompleteMultipartUpload>");
  EXPECT_EQ(WriteCreateBucket("eu-central-1"),
            "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
            "<LocationConstraint>eu-central-1</LocationConstraint></CreateBucketConfiguration>");
}

}  // namespace
}  // namespace tinysphere::s3
