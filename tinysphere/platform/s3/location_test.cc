#include "tinysphere/platform/s3/location.h"

#include <gtest/gtest.h>

#include <map>

namespace tinysphere::s3 {
namespace {

using Environment = std::map<std::string, std::string>;

base::Result<Location> Parse(const std::string& url, Environment environment = {}) {
  environment.emplace("AWS_ACCESS_KEY_ID", "key");
  environment.emplace("AWS_SECRET_ACCESS_KEY", "secret");
  return ParseLocation(url, [&](const char* name) {
    const auto found = environment.find(name);
    return found == environment.end() ? std::string() : found->second;
  });
}

TEST(Location, IsAmazonsUnlessAnotherIsNamed) {
  const auto location = Parse("s3://tiny", {{"AWS_REGION", "eu-central-1"}});
  ASSERT_TRUE(location.ok()) << location.error().message;
  EXPECT_EQ(location->bucket_prefix, "tiny");
  EXPECT_EQ(location->scheme, "https");
  EXPECT_EQ(location->host, "s3.eu-central-1.amazonaws.com");
  EXPECT_EQ(location->region, "eu-central-1");
  EXPECT_FALSE(location->is_virtual_host);
  EXPECT_EQ(location->credentials.access_key, "key");
}

TEST(Location, TakesTheUrlBeforeTheEnvironment) {
  const auto location =
      Parse("s3://tiny?endpoint=http%3A%2F%2F10.0.0.1:9000/&region=x&style=virtual&ca=/etc/ca.pem",
            {{"AWS_ENDPOINT_URL", "https://other"},
             {"AWS_DEFAULT_REGION", "y"},
             {"AWS_CA_BUNDLE", "/other.pem"}});
  ASSERT_TRUE(location.ok()) << location.error().message;
  EXPECT_EQ(location->scheme, "http");
  EXPECT_EQ(location->host, "10.0.0.1:9000");
  EXPECT_EQ(location->region, "x");
  EXPECT_TRUE(location->is_virtual_host);
  EXPECT_EQ(location->ca_file, "/etc/ca.pem");
}

TEST(Location, LeavesOutThePortThatNoHostHeaderNames) {
  // What is signed must be what is sent, and curl leaves out a scheme's own port.
  EXPECT_EQ(Parse("s3://tiny?endpoint=https://store:443")->host, "store");
  EXPECT_EQ(Parse("s3://tiny?endpoint=http://store:443")->host, "store:443");
}

TEST(Location, SaysWhatIsWrong) {
  for (const char* url : {"file:x", "s3://", "s3://Tiny", "s3://-tiny", "s3://a/b",
                          "s3://tiny?endpoint=ftp://x", "s3://tiny?endpoint=http://x/path",
                          "s3://tiny?endpoint=%zz", "s3://tiny?style=other", "s3://tiny?colour=red",
                          "s3://tiny?endpoint", "s3://12345678901234567890123456789012345678901"}) {
    const auto location = Parse(url);
    ASSERT_FALSE(location.ok()) << url;
    EXPECT_EQ(location.error().code, base::ErrorCode::kInvalidArgument) << url;
  }
  const auto without = Parse("s3://tiny", {{"AWS_SECRET_ACCESS_KEY", ""}});
  ASSERT_FALSE(without.ok());
  EXPECT_NE(without.error().message.find("AWS_SECRET_ACCESS_KEY"), std::string::npos);
}

}  // namespace
}  // namespace tinysphere::s3
