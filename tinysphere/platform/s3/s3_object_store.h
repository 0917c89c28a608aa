// Objects in an S3 store: key "packages/d-1/7" is "d-1/7" in the bucket "<prefix>-packages".
//
// What is put is durable when the store said 200. It is written down here first where it is large,
// for its hash must be known before it is sent; very large contents go in parts. Reading asks for
// ranges, some blocks ahead, and never mixes two versions of a content.

#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/result.h"
#include "tinysphere/outbound/http_client.h"
#include "tinysphere/platform/s3/location.h"
#include "tinysphere/store/object_store.h"

namespace tinysphere::s3 {

struct Options {
  Location location = {};
  std::string spool = "";                    // Folder of what is being written.
  std::uint64_t free_bytes_min = 64u << 20;  // There; below it nothing is accepted (kExhausted).
  bool sweeps = true;         // Removes what an earlier process left there. Off beside a server.
  bool makes_buckets = true;  // Those that are missing, all of buckets.h; private.
  // Larger contents go in parts of so many bytes. S3 wants 5 MiB at least.
  std::uint64_t part_bytes = 16u << 20;
};

// `fs` and `clock` must outlive the store.
base::Result<std::unique_ptr<store::ObjectStore>> OpenObjectStore(
    base::FileSystem& fs, base::Clock& clock, std::unique_ptr<outbound::HttpClient> http,
    const Options& options);

}  // namespace tinysphere::s3
