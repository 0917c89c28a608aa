// LogParts: a device's operational log, a part for each package that brought lines.
//
//   data-logs/<device>/<boot>/<seq>.jsonl     lines as they came, never rewritten
//   logs_index                                where each part lies and what times it covers
//
// The lines themselves are never looked into but for the first and the last, whose "at" says what
// the part covers; a person reads the rest.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "tinysphere/http/message.h"
#include "tinysphere/http/router.h"
#include "tinysphere/store/database.h"
#include "tinysphere/store/object_store.h"

namespace tinysphere::series {

struct LogPart {
  std::string device_id;
  std::string boot;  // Of the start of the agent that wrote it.
  std::uint64_t seq = 0;
  std::string package_id;
  std::uint64_t lines = 0;
  std::uint64_t bytes = 0;
  std::optional<base::Time> first_at{};  // As its lines say.
  std::optional<base::Time> last_at{};
  base::Time received_at{};
  std::string object_key;
};

std::string LogPartKey(std::string_view device_id, std::string_view boot, std::uint64_t seq);

// Writes one part, of any number of files, while it is read. Not thread-safe.
class LogPartWriter {
 public:
  // Nothing is written before the first byte. `objects` must outlive it.
  LogPartWriter(store::ObjectStore& objects, std::string object_key)
      : objects_(objects), object_key_(std::move(object_key)) {}

  base::Status Append(base::ByteView bytes);
  // A file ended; its last line ends with it.
  base::Status EndFile();
  // Durable. Fills in what was seen of the lines.
  base::Status Commit(LogPart& part);
  bool is_empty() const { return writer_ == nullptr; }

 private:
  void Look(base::ByteView bytes);

  static constexpr std::size_t kLookedAtMax = 64u << 10;  // Of a line; a longer one says no time.

  store::ObjectStore& objects_;
  std::string object_key_;
  std::unique_ptr<store::ObjectWriter> writer_;
  std::uint64_t lines_ = 0;
  std::uint64_t bytes_ = 0;
  std::string line_;  // The one that is being read.
  bool is_line_open_ = false;
  std::string first_line_;
  std::string last_line_;
};

// May be used from several threads.
class LogParts {
 public:
  // Both must outlive it.
  LogParts(store::Database& database, store::ObjectStore& objects)
      : database_(database), objects_(objects) {}

  // Whether this place in the log is free, or this package's already. kConflict would be retried;
  // another package there is kInvalidArgument, for ever.
  base::Status CheckFree(const LogPart& part);
  // Idempotent.
  static base::Status Take(store::Transaction& transaction, const LogPart& part);

  // The parts, newest first.
  base::Result<base::Json> List(const http::Request& request, const std::string& device_id);
  base::Result<http::Response> Content(const http::Request& request, const std::string& device_id,
                                       const std::string& boot, std::int64_t seq);
  // The newest `count` lines, oldest first: {"lines":[..]}; those that are JSON as JSON.
  base::Result<base::Json> Tail(const std::string& device_id, std::size_t count);

  void AddRoutes(http::Router& router);

 private:
  store::Database& database_;
  store::ObjectStore& objects_;
};

}  // namespace tinysphere::series
