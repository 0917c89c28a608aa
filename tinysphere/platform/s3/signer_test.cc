// AWS's own examples: Amazon S3 API Reference, "Signature Calculations for the Authorization
// Header" and "Authenticating Requests: Using Query Parameters".

#include "tinysphere/platform/s3/signer.h"

#include <gtest/gtest.h>

#include "base/crypto.h"

namespace tinysphere::s3 {
namespace {

const Credentials kExample{.access_key = "AKIAIOSFODNN7EXAMPLE",
                           .secret_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"};
const Scope kUsEast{.region = "us-east-1"};
constexpr const char* kHost = "examplebucket.s3.amazonaws.com";
constexpr const char* kEmptySha256 =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

base::Time ExampleTime() { return base::ParseTime("2013-05-24T00:00:00Z").value(); }

std::string Find(const Pairs& headers, std::string_view name) {
  for (const auto& [known, value] : headers) {
    if (known == name) return value;
  }
  return "";
}

std::string Authorization(const Unsigned& request, std::string_view payload_sha256) {
  return Find(SignedHeaders(request, payload_sha256, kExample, kUsEast, ExampleTime()),
              "Authorization");
}

TEST(Signer, SignsAwsExampleOfGettingARange) {
  EXPECT_EQ(Authorization({.method = "GET",
                           .host = kHost,
                           .path = "/test.txt",
                           .headers = {{"Range", "bytes=0-9"}}},
                          kEmptySha256),
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
            "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
            "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

TEST(Signer, SignsAwsExampleOfPuttingAnObject) {
  EXPECT_EQ(Authorization({.method = "PUT",
                           .host = kHost,
                           .path = "/test%24file.text",
                           .headers = {{"Date", "Fri, 24 May 2013 00:00:00 GMT"},
                                       {"x-amz-storage-class", "REDUCED_REDUNDANCY"}}},
                          base::Sha256Hex(base::AsBytes("Welcome to Amazon S3."))),
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
            "SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class,"
            "Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

TEST(Signer, SignsAwsExampleOfGettingALifecycle) {
  EXPECT_EQ(
      Authorization({.method = "GET", .host = kHost, .path = "/", .query = {{"lifecycle", ""}}},
                    kEmptySha256),
      "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
      "SignedHeaders=host;x-amz-content-sha256;x-amz-date,"
      "Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
}

TEST(Signer, SignsAwsExampleOfListing) {
  // Given in the other order: the canonical query is sorted.
  EXPECT_EQ(Authorization({.method = "GET",
                           .host = kHost,
                           .path = "/",
                           .query = {{"prefix", "J"}, {"max-keys", "2"}}},
                          kEmptySha256),
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
            "SignedHeaders=host;x-amz-content-sha256;x-amz-date,"
            "Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

TEST(Signer, PresignsAwsExample) {
  EXPECT_EQ(PresignedQuery({.method = "GET", .host = kHost, .path = "/test.txt"},
                           std::chrono::hours(24), kExample, kUsEast, ExampleTime()),
            "X-Amz-Algorithm=AWS4-HMAC-SHA256"
            "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
            "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
            "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
}

TEST(Signer, SendsTheTokenOfTemporaryCredentialsSigned) {
  Credentials temporary = kExample;
  temporary.session_token = "token";
  const Unsigned request{.method = "GET", .host = kHost, .path = "/"};
  const Pairs headers = SignedHeaders(request, kEmptySha256, temporary, kUsEast, ExampleTime());
  EXPECT_EQ(Find(headers, "x-amz-security-token"), "token");
  EXPECT_NE(Find(headers, "Authorization").find("x-amz-date;x-amz-security-token,"),
            std::string::npos);
  const std::string query =
      PresignedQuery(request, std::chrono::seconds(60), temporary, kUsEast, ExampleTime());
  EXPECT_NE(query.find("&X-Amz-Security-Token=token&X-Amz-SignedHeaders="), std::string::npos);
}

TEST(Signer, NeverShowsTheSecret) {
  for (const auto& [name, value] : SignedHeaders({.method = "GET", .host = kHost, .path = "/"},
                                                 kEmptySha256, kExample, kUsEast, ExampleTime())) {
    EXPECT_EQ(value.find(kExample.secret_key), std::string::npos) << name;
  }
}

TEST(Signer, TidiesHeaderValuesAsTheCanonicalFormWants) {
  const auto sign = [](const std::string& value) {
    return Authorization(
        {.method = "GET", .host = kHost, .path = "/", .headers = {{"X-Amz-Meta-A", value}}},
        kEmptySha256);
  };
  EXPECT_EQ(sign("  a   b "), sign("a b"));
  EXPECT_NE(sign("ab"), sign("a b"));
}

}  // namespace
}  // namespace tinysphere::s3
