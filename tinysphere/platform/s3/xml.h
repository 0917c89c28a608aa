// The XML that S3 speaks: its answers read, the few requests with a body written.
//
// Source: Amazon S3 API Reference, version 2006-03-01 (ListObjectsV2, DeleteObjects,
// CreateMultipartUpload, CompleteMultipartUpload, CreateBucket, Error Responses).

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace tinysphere::s3 {

struct StoreError {
  std::string code;  // "NoSuchKey"
  std::string message;
};

// nullopt where the body is no <Error>.
std::optional<StoreError> ReadError(std::string_view body);

struct ListedObject {
  std::string key;
  std::uint64_t bytes = 0;
  base::Time modified{};
};
struct ListPage {
  std::vector<ListedObject> objects;
  std::string continuation;  // "" after the last page.
};
// kUnavailable for what is no such answer: something stands in between, or it broke off.
base::Result<ListPage> ReadListPage(std::string_view body);
base::Result<std::string> ReadUploadId(std::string_view body);
// The keys that were not deleted, with the reason.
base::Result<std::vector<std::pair<std::string, StoreError>>> ReadDeleteErrors(
    std::string_view body);

std::string WriteDelete(std::span<const std::string> keys);
std::string WriteComplete(std::span<const std::string> etags);  // Of parts 1, 2, ...
std::string WriteCreateBucket(std::string_view region);

}  // namespace tinysphere::s3
