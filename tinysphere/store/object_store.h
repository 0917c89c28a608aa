// ObjectStore: whole contents under a key, durable once put. A folder, or an S3 store.
//
// A key is "<bucket>/<name>[/<name>...]" of [A-Za-z0-9._=-] parts, at most 512 bytes, no part "."
// or ".."; no key may be the folder of another. What lies in which bucket: buckets.h. Keys are
// written once, or again with the same content: no store is asked whether something lies there
// already (not every S3 store means its answer).

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "base/result.h"

namespace tinysphere::store {

// A content being written. Dropped without Commit, nothing of it remains. Not thread-safe.
class ObjectWriter {
 public:
  virtual ~ObjectWriter() = default;
  virtual base::Status Append(base::ByteView bytes) = 0;
  // Durable, and what Get gives from now on, when it returns ok; replaces what lay there.
  virtual base::Status Commit() = 0;
};

struct ObjectInfo {
  std::string key;
  std::uint64_t bytes = 0;
  base::Time modified{};  // By the store's clock.
};

// What the holder of a presigned URL may do.
enum class Presigned { kGet, kPut };

// May be used from several threads. Errors: kInvalidArgument (key), kNotFound, kExhausted (full),
// kUnavailable.
class ObjectStore {
 public:
  virtual ~ObjectStore() = default;
  virtual base::Result<std::unique_ptr<ObjectWriter>> Put(const std::string& key) = 0;
  // Takes a finished local file (a spooled upload) as the content; on success the file is gone.
  virtual base::Status Adopt(const std::string& key, const std::string& path) = 0;
  // Ranges are read through ReadAt; several threads may.
  virtual base::Result<std::unique_ptr<base::ReadableFile>> Get(const std::string& key) = 0;
  virtual base::Status Delete(const std::string& key) = 0;  // Fine if it is not there.
  virtual base::Result<bool> Exists(const std::string& key) = 0;
  // Keys that begin with `prefix`, in order, those after `after` only, at most `limit`.
  virtual base::Result<std::vector<ObjectInfo>> List(const std::string& prefix,
                                                     const std::string& after,
                                                     std::size_t limit) = 0;
  // Whether a content could be written now; for GET /health.
  virtual base::Status Check() = 0;
  // The same as Delete of each, in fewer calls where the store has such. Stops at an error.
  virtual base::Status DeleteAll(std::span<const std::string> keys);
  // A URL by which anybody may read or write this one content for `life` (a week at most), straight
  // at the store; nullopt where there is none to talk to (a folder).
  virtual base::Result<std::optional<std::string>> Presign(const std::string& key, Presigned what,
                                                           base::Duration life);

  // A small content that nobody replaces, as fast as the store can make it durable: the key under
  // which it lies from then on, which begins with `key`.
  virtual base::Result<std::string> Keep(const std::string& key, base::ByteView bytes);

  // A small content in one go.
  base::Status PutBytes(const std::string& key, base::ByteView bytes);
  // kExhausted if it is larger than `bytes_max`.
  base::Result<base::Bytes> GetBytes(const std::string& key, std::uint64_t bytes_max);
};

base::Status CheckObjectKey(std::string_view key);

}  // namespace tinysphere::store
