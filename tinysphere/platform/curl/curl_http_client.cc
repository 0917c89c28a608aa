// outbound/http_client.h on libcurl's easy interface: handles are pooled, each keeps its
// connections.

#include <curl/curl.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <utility>

#include "base/text.h"
#include "tinysphere/outbound/http_client.h"

namespace tinysphere::outbound {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using base::Status;
using base::StrCat;

constexpr std::size_t kHeaderBytesMax = 64u << 10;
constexpr long kBufferBytes = 256L << 10;

struct FreeCurl {
  void operator()(CURL* curl) const { curl_easy_cleanup(curl); }
};
struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using Handle = std::unique_ptr<CURL, FreeCurl>;

// For messages: without the query, which may hold a signature.
std::string_view Where(const Request& request) {
  return std::string_view(request.url).substr(0, request.url.find('?'));
}

// One request under way.
struct Exchange {
  const Request* request = nullptr;
  CURL* curl = nullptr;
  const std::atomic<bool>* is_stopped = nullptr;
  std::uint64_t body_bytes = 0;
  std::uint64_t sent = 0;
  std::size_t header_bytes = 0;
  Answer answer;
  std::optional<Error> error;  // What stopped it on our side.
};

std::size_t OnHeader(char* data, std::size_t size, std::size_t count, void* pointer) {
  auto& exchange = *static_cast<Exchange*>(pointer);
  const std::string_view line(data, size * count);
  exchange.header_bytes += line.size();
  if (exchange.header_bytes > kHeaderBytesMax) {
    exchange.error = Error{ErrorCode::kUnavailable, "the answer's header is too long"};
    return 0;
  }
  if (line.starts_with("HTTP/")) {
    exchange.answer.headers.clear();  // What came before was interim ("100 Continue").
    return line.size();
  }
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return line.size();
  std::string name(line.substr(0, colon));
  for (char& c : name) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  exchange.answer.headers.emplace_back(std::move(name), base::Trim(line.substr(colon + 1)));
  return line.size();
}

std::size_t OnBody(char* data, std::size_t size, std::size_t count, void* pointer) {
  auto& exchange = *static_cast<Exchange*>(pointer);
  const std::size_t bytes = size * count;
  long status = 0;
  curl_easy_getinfo(exchange.curl, CURLINFO_RESPONSE_CODE, &status);
  if (exchange.request->sink != nullptr && status >= 200 && status < 300) {
    const Status taken =
        exchange.request->sink->Append({reinterpret_cast<const std::uint8_t*>(data), bytes});
    if (taken.ok()) return bytes;
    exchange.error = taken.error();
    return 0;
  }
  if (exchange.answer.body.size() + bytes > exchange.request->answer_bytes_max) {
    exchange.error =
        Error{ErrorCode::kUnavailable,
              StrCat("the answer is longer than ", exchange.request->answer_bytes_max, " bytes")};
    return 0;
  }
  exchange.answer.body.append(data, bytes);
  return bytes;
}

std::size_t OnRead(char* out, std::size_t size, std::size_t count, void* pointer) {
  auto& exchange = *static_cast<Exchange*>(pointer);
  const std::uint64_t left = exchange.body_bytes - exchange.sent;
  const std::size_t room = static_cast<std::size_t>(std::min<std::uint64_t>(left, size * count));
  if (room == 0) return 0;
  const Request& request = *exchange.request;
  std::size_t got = room;
  if (request.file.file == nullptr) {
    std::copy_n(request.body.begin() + static_cast<std::ptrdiff_t>(exchange.sent), room, out);
  } else {
    const Result<std::size_t> read = request.file.file->ReadAt(
        request.file.offset + exchange.sent, {reinterpret_cast<std::uint8_t*>(out), room});
    if (!read.ok() || *read == 0) {
      exchange.error =
          read.ok() ? Error{ErrorCode::kCorrupt, "the file ends before its size"} : read.error();
      return CURL_READFUNC_ABORT;
    }
    got = *read;
  }
  exchange.sent += got;
  return got;
}

// A kept connection that turns out to be closed makes curl begin anew.
int OnSeek(void* pointer, curl_off_t offset, int origin) {
  if (origin != SEEK_SET || offset < 0) return CURL_SEEKFUNC_FAIL;
  static_cast<Exchange*>(pointer)->sent = static_cast<std::uint64_t>(offset);
  return CURL_SEEKFUNC_OK;
}

int OnProgress(void* pointer, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<Exchange*>(pointer)->is_stopped->load() ? 1 : 0;
}

bool HoldsControls(std::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return true;
  }
  return false;
}

Status CheckRequest(const Request& request) {
  const auto refuse = [&](std::string_view why) {
    return Error{ErrorCode::kInvalidArgument,
                 StrCat(request.method, " ", Where(request), ": ", why)};
  };
  if (!request.url.starts_with("http://") && !request.url.starts_with("https://")) {
    return refuse("is no http:// or https:// URL");
  }
  for (const char c : request.url) {
    if (c <= 0x20 || c >= 0x7f) return refuse("the URL is not percent-encoded");
  }
  for (const auto& [name, value] : request.headers) {
    // What could end the line would begin a header of its own.
    if (name.empty() || name.find_first_of(": ;") != std::string::npos || HoldsControls(name) ||
        HoldsControls(value)) {
      return refuse("a header's name or value holds what cannot stand in one");
    }
  }
  return {};
}

class CurlHttpClient final : public HttpClient {
 public:
  explicit CurlHttpClient(const ClientOptions& options) : options_(options) {}

  Result<Answer> Do(const Request& request) override;
  void Stop() override { is_stopped_.store(true); }

 private:
  Handle Take() {
    {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        Handle handle = std::move(idle_.back());  // The one used last: its connection is warmest.
        idle_.pop_back();
        return handle;
      }
    }
    return Handle(curl_easy_init());
  }
  void GiveBack(Handle handle) {
    const std::lock_guard lock(mutex_);
    if (idle_.size() < options_.idle_connections_max) idle_.push_back(std::move(handle));
  }
  void SetUp(Exchange& exchange, curl_slist* headers, char* reason) const;

  const ClientOptions options_;
  std::atomic<bool> is_stopped_{false};
  std::mutex mutex_;
  std::vector<Handle> idle_;
};

void CurlHttpClient::SetUp(Exchange& exchange, curl_slist* headers, char* reason) const {
  CURL* const curl = exchange.curl;
  const Request& request = *exchange.request;
  curl_easy_reset(curl);  // Keeps connections and TLS sessions.
  curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);  // What is signed is what is sent.
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl, CURLOPT_NOPROXY, "localhost,127.0.0.1,::1");
  curl_easy_setopt(curl, CURLOPT_USERAGENT, options_.user_agent.c_str());
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS,
                   static_cast<long>(options_.connect_timeout.count()));
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(request.timeout.count()));
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, static_cast<long>(request.stall.count() / 1000));
  curl_easy_setopt(curl, CURLOPT_MAXAGE_CONN, static_cast<long>(options_.idle_max.count() / 1000));
  curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, request.own_connection ? 1L : 0L);
  curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, request.own_connection ? 1L : 0L);
  curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, kBufferBytes);
  curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, kBufferBytes);
  curl_easy_setopt(curl, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (!options_.ca_file.empty()) {
    curl_easy_setopt(curl, CURLOPT_CAINFO, options_.ca_file.c_str());
    curl_easy_setopt(curl, CURLOPT_CAPATH, nullptr);
  }
  const bool sends_body = exchange.body_bytes > 0 || request.method == "PUT" ||
                          request.method == "POST" || request.method == "PATCH";
  if (sends_body) {
    curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(exchange.body_bytes));
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, &OnRead);
    curl_easy_setopt(curl, CURLOPT_READDATA, &exchange);
    curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, &OnSeek);
    curl_easy_setopt(curl, CURLOPT_SEEKDATA, &exchange);
  }
  if (request.method == "HEAD") curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
  curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, &OnHeader);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &exchange);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &OnBody);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &exchange);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, &OnProgress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &exchange);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason);
}

Result<Answer> CurlHttpClient::Do(const Request& request) {
  RETURN_IF_ERROR(CheckRequest(request));
  const auto fail = [&](ErrorCode code, std::string_view why) {
    return Error{code, StrCat(request.method, " ", Where(request), ": ", why)};
  };
  if (is_stopped_.load()) return fail(ErrorCode::kUnavailable, "stopped");

  std::unique_ptr<curl_slist, FreeList> headers;
  const auto add = [&](const std::string& line) {
    curl_slist* longer = curl_slist_append(headers.get(), line.c_str());
    CHECK(longer != nullptr);
    static_cast<void>(headers.release());
    headers.reset(longer);
  };
  for (const auto& [name, value] : request.headers) {
    // "name;" is how curl is told to send a header without a value.
    add(value.empty() ? name + ";" : StrCat(name, ": ", value));
  }
  add("expect:");  // No waiting for "100 Continue".

  Handle handle = Take();
  if (handle == nullptr) return fail(ErrorCode::kInternal, "curl: no handle");
  Exchange exchange;
  exchange.request = &request;
  exchange.curl = handle.get();
  exchange.is_stopped = &is_stopped_;
  exchange.body_bytes = request.file.file != nullptr ? request.file.bytes : request.body.size();
  char reason[CURL_ERROR_SIZE] = "";
  SetUp(exchange, headers.get(), reason);
  const CURLcode code = curl_easy_perform(handle.get());
  long status = 0;
  curl_easy_getinfo(handle.get(), CURLINFO_RESPONSE_CODE, &status);
  curl_easy_setopt(handle.get(), CURLOPT_ERRORBUFFER, nullptr);
  GiveBack(std::move(handle));

  if (exchange.error) return fail(exchange.error->code, exchange.error->message);
  if (code == CURLE_ABORTED_BY_CALLBACK) return fail(ErrorCode::kUnavailable, "stopped");
  const std::string_view words = reason[0] != '\0' ? reason : curl_easy_strerror(code);
  if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE) {
    return fail(ErrorCode::kPermissionDenied, words);
  }
  if (code != CURLE_OK) return fail(ErrorCode::kUnavailable, words);
  exchange.answer.status = static_cast<int>(status);
  return std::move(exchange.answer);
}

}  // namespace

Result<std::unique_ptr<HttpClient>> MakeHttpClient(const ClientOptions& options) {
  if (options.idle_max < std::chrono::seconds(1)) {
    return Error{ErrorCode::kInvalidArgument, "http client: idle_max must be at least 1 s"};
  }
  // Not thread-safe by itself, and a program may have several clients.
  static const CURLcode global = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (global != CURLE_OK) return Error{ErrorCode::kInternal, "curl: cannot be set up"};
  return std::unique_ptr<HttpClient>(std::make_unique<CurlHttpClient>(options));
}

}  // namespace tinysphere::outbound
