#include "tinysphere/platform/s3/location.h"

#include "base/bytes.h"
#include "base/text.h"

namespace tinysphere::s3 {

using base::Error;
using base::ErrorCode;
using base::StrCat;

namespace {

// The longest name of a bucket is "prediction-images", and S3 allows 63 characters in all.
constexpr std::size_t kPrefixBytesMax = 40;

Error Wrong(std::string_view what) {
  return {ErrorCode::kInvalidArgument, StrCat("objects: ", what)};
}

base::Result<std::string> PercentDecode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    const auto byte = base::HexDecode(text.substr(i + 1, 2));
    if (!byte.ok() || byte->size() != 1) return Wrong("a '%' that no two hex digits follow");
    out += static_cast<char>(byte->front());
    i += 2;
  }
  return out;
}

// Amazon S3 User Guide, "General purpose bucket naming rules".
base::Status CheckPrefix(std::string_view prefix) {
  const auto is_plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  bool ok = !prefix.empty() && prefix.size() <= kPrefixBytesMax && is_plain(prefix.front()) &&
            is_plain(prefix.back());
  for (const char c : prefix) ok = ok && (is_plain(c) || c == '-');
  if (ok) return {};
  return Wrong(StrCat("s3://", prefix, ": the beginning of the buckets' names must be 1 to ",
                      kPrefixBytesMax, " of a-z 0-9 -, with no - at either end"));
}

base::Status SetEndpoint(std::string_view endpoint, Location& location) {
  std::string_view rest = endpoint;
  const std::size_t scheme = rest.find("://");
  if (scheme != std::string_view::npos) {
    location.scheme = rest.substr(0, scheme);
    rest.remove_prefix(scheme + 3);
  }
  while (rest.ends_with('/')) rest.remove_suffix(1);
  if ((location.scheme != "http" && location.scheme != "https") || rest.empty() ||
      rest.find_first_of("/?#@ ") != std::string_view::npos) {
    return Wrong(StrCat("endpoint ", endpoint, ": http[s]://HOST[:PORT] is wanted"));
  }
  // What the Host header says, for it is signed.
  const std::string_view own_port = location.scheme == "http" ? ":80" : ":443";
  if (rest.ends_with(own_port)) rest.remove_suffix(own_port.size());
  location.host = rest;
  return {};
}

}  // namespace

base::Result<Location> ParseLocation(std::string_view url,
                                     const std::function<std::string(const char*)>& environment) {
  const auto first_of = [&](const char* name, const char* other) {
    std::string value = environment(name);
    return value.empty() ? environment(other) : value;
  };
  Location location;
  if (!url.starts_with("s3://")) return Wrong(StrCat(url, " is no s3:// URL"));
  url.remove_prefix(5);
  const std::size_t question = url.find('?');
  location.bucket_prefix = url.substr(0, question);
  if (location.bucket_prefix.ends_with('/')) location.bucket_prefix.pop_back();
  RETURN_IF_ERROR(CheckPrefix(location.bucket_prefix));

  std::string endpoint = first_of("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL");
  std::string region = first_of("AWS_REGION", "AWS_DEFAULT_REGION");
  std::string style = "path";
  location.ca_file = environment("AWS_CA_BUNDLE");
  if (question != std::string_view::npos) {
    for (const std::string_view pair : base::Split(url.substr(question + 1), '&')) {
      const std::size_t equals = pair.find('=');
      if (equals == std::string_view::npos) {
        return Wrong(StrCat("s3://...?", pair, ": name=value is wanted"));
      }
      ASSIGN_OR_RETURN(const std::string value, PercentDecode(pair.substr(equals + 1)));
      const std::string_view name = pair.substr(0, equals);
      if (name == "endpoint") {
        endpoint = value;
      } else if (name == "region") {
        region = value;
      } else if (name == "style") {
        style = value;
      } else if (name == "ca") {
        location.ca_file = value;
      } else {
        return Wrong(StrCat("s3://...?", name, "=: endpoint, region, style and ca are known"));
      }
    }
  }
  if (!region.empty()) location.region = region;
  if (location.region.find_first_of("/ \t\r\n") != std::string::npos) {
    return Wrong(StrCat("region ", location.region, ": is none"));
  }
  if (style != "path" && style != "virtual") {
    return Wrong(StrCat("style=", style, ": path or virtual is wanted"));
  }
  location.is_virtual_host = style == "virtual";
  if (endpoint.empty()) endpoint = StrCat("https://s3.", location.region, ".amazonaws.com");
  RETURN_IF_ERROR(SetEndpoint(endpoint, location));
  location.credentials = {.access_key = environment("AWS_ACCESS_KEY_ID"),
                          .secret_key = environment("AWS_SECRET_ACCESS_KEY"),
                          .session_token = environment("AWS_SESSION_TOKEN")};
  if (location.credentials.access_key.empty() || location.credentials.secret_key.empty()) {
    return Wrong("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not both set in the environment");
  }
  return location;
}

}  // namespace tinysphere::s3
