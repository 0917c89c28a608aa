// Location: which S3 store, whose buckets, and how they are reached.

#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "tinysphere/platform/s3/signer.h"

namespace tinysphere::s3 {

struct Location {
  std::string bucket_prefix = "";  // Of the names of all buckets: "<prefix>-packages".
  std::string scheme = "";         // "https"
  std::string host = "";           // With the port, unless it is the scheme's own.
  std::string region = "us-east-1";
  bool is_virtual_host = false;  // https://BUCKET.HOST/KEY instead of https://HOST/BUCKET/KEY.
  std::string ca_file = "";
  Credentials credentials = {};
};

// From "s3://PREFIX[?endpoint=URL&region=..&style=path|virtual&ca=FILE]" and the environment that
// AWS's programs read: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION or
// AWS_DEFAULT_REGION, AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL, AWS_CA_BUNDLE; the URL goes first.
// `environment` gives "" for what is not set. kInvalidArgument.
base::Result<Location> ParseLocation(
    std::string_view url, const std::function<std::string(const char* name)>& environment);

}  // namespace tinysphere::s3
