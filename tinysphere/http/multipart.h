// Multipart: reads a multipart/form-data body (RFC 7578) piece by piece; holds no part in memory.
//
// Sans-io: bytes go in, events come out. A boundary that is split between two pieces is found.

#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/file_system.h"
#include "base/result.h"
#include "tinysphere/http/message.h"

namespace tinysphere::http {

struct PartHeader {
  std::string name;
  std::string file_name;  // "" if there is none. Never used as a path.
  std::string content_type;
};

// Not thread-safe.
class MultipartReader {
 public:
  struct Options {
    std::size_t header_bytes_max = 4096;
    int parts_max = 8;
  };
  // Called in order: begin, data*, end for each part. An error stops the reader.
  struct Events {
    std::function<base::Status(const PartHeader&)> begin;
    std::function<base::Status(base::ByteView)> data;
    std::function<base::Status()> end;
  };

  // kInvalidArgument unless `content_type` is multipart/form-data with a boundary of 1 to 70
  // characters (RFC 2046 5.1.1).
  static base::Result<MultipartReader> Create(std::string_view content_type, Events events,
                                              const Options& options);
  static base::Result<MultipartReader> Create(std::string_view content_type, Events events) {
    return Create(content_type, std::move(events), Options{});
  }

  base::Status Feed(base::ByteView bytes);
  // The body is over. kCorrupt if it ended inside a part.
  base::Status Finish();

 private:
  enum class State { kPreamble, kAfterBoundary, kHeader, kData, kEpilogue };
  MultipartReader(std::string boundary, Events events, const Options& options);
  base::Status Step(bool& progressed);

  Options options_;
  Events events_;
  std::string delimiter_;  // "\r\n--" + boundary
  State state_ = State::kPreamble;
  std::string pending_;   // At most a header or a delimiter's length, plus the piece just fed.
  std::size_t skip_ = 0;  // Of pending_: put there by us, not to be reported.
  int parts_ = 0;
};

// Reads a spooled multipart body whose parts are `metadata` (kept as text, at most 64 KiB) and then
// `package` (spooled to `package_path` while hashed). Other parts are refused.
struct MultipartUpload {
  std::string metadata;
  Body package;
};
base::Result<MultipartUpload> ReadMultipartUpload(base::FileSystem& fs, const Request& request,
                                                  const std::string& package_path,
                                                  std::uint64_t package_bytes_max);

}  // namespace tinysphere::http
