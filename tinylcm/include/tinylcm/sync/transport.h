// Transport: where HTTP comes in. It carries a request and brings back an answer; it neither signs
// nor believes anything.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "base/result.h"

namespace tinylcm::sync {

using Headers = std::vector<std::pair<std::string, std::string>>;

// The bytes of a request's body; may be read more than once.
using Body = base::ReadableFile;

// Borrows the bytes.
class MemoryBody final : public Body {
 public:
  explicit MemoryBody(base::ByteView bytes) : bytes_(bytes) {}
  std::uint64_t size() const override { return bytes_.size(); }
  base::Result<std::size_t> ReadAt(std::uint64_t offset,
                                   std::span<std::uint8_t> out) const override;

 private:
  base::ByteView bytes_;
};

// `bytes` of a file from `offset` on. Borrows the file.
class FileBody final : public Body {
 public:
  FileBody(const base::ReadableFile& file, std::uint64_t offset, std::uint64_t bytes)
      : file_(file), offset_(offset), bytes_(bytes) {}
  std::uint64_t size() const override { return bytes_; }
  base::Result<std::size_t> ReadAt(std::uint64_t offset,
                                   std::span<std::uint8_t> out) const override;

 private:
  const base::ReadableFile& file_;
  std::uint64_t offset_;
  std::uint64_t bytes_;
};

// Receives the body of an answer 200 or 206 that is too large for memory.
class AnswerSink {
 public:
  virtual ~AnswerSink() = default;
  virtual base::Status Begin(int status, const Headers& headers) = 0;
  virtual base::Status Append(base::ByteView bytes) = 0;
};

struct HttpRequest {
  std::string method;
  std::string path;   // Absolute, already encoded.
  std::string query;  // Without "?".
  Headers headers;    // Lower-case names.
  const Body* body = nullptr;
  AnswerSink* sink = nullptr;
  std::uint64_t answer_bytes_max = 4u << 20;  // Kept in memory; more is an error.
  base::Duration timeout = std::chrono::minutes(2);
};

struct HttpAnswer {
  int status = 0;
  Headers headers;  // Lower-case names.
  std::string body;

  const std::string* Header(std::string_view name) const;  // The first one, or nullptr.
};

// One thread calls Do; Cancel may be called from any.
class Transport {
 public:
  virtual ~Transport() = default;
  // kUnavailable where no whole answer came back; the caller cannot know whether it was heard.
  virtual base::Result<HttpAnswer> Do(const HttpRequest& request) = 0;
  // Makes the running and every later Do fail soon; for a clean stop.
  virtual void Cancel() = 0;
};

// The machine's network, by libcurl (platform/curl).
struct CurlOptions {
  std::string server;                // "https://host:port", no path.
  std::string tls_pin;               // base64url(SHA-256(SPKI)): then this key alone is trusted.
  std::string ca_file;               // PEM; empty: the system's.
  bool allow_insecure_http = false;  // Plain HTTP to other hosts than this one.
  base::Duration connect_timeout = std::chrono::seconds(10);
  std::uint64_t send_bytes_per_s_max = 0;  // 0: no cap.
};
base::Result<std::unique_ptr<Transport>> MakeCurlTransport(const CurlOptions& options);

// True for "127.x.x.x", "localhost", "[::1]" (with or without a port).
bool IsLoopback(std::string_view host);

}  // namespace tinylcm::sync
