// tinylcm/sync/transport.h on libcurl's easy interface: one handle, so that the connection is kept.

#include "tinylcm/sync/transport.h"

#include <curl/curl.h>
#include <dlfcn.h>

#include <atomic>
#include <cstring>
#include <mutex>

#include "base/text.h"

namespace tinylcm::sync {
namespace {

// libcurl's own macros, which call a function of that name.
#undef curl_easy_getinfo
#undef curl_easy_setopt

// libcurl is opened when the first transport is made: it brings two dozen libraries along, and a
// device that works alone never waits for them.
struct CurlFunctions {
  decltype(&::curl_global_init) global_init;
  decltype(&::curl_easy_init) easy_init;
  decltype(&::curl_easy_cleanup) easy_cleanup;
  decltype(&::curl_easy_reset) easy_reset;
  decltype(&::curl_easy_setopt) easy_setopt;
  decltype(&::curl_easy_getinfo) easy_getinfo;
  decltype(&::curl_easy_perform) easy_perform;
  decltype(&::curl_easy_strerror) easy_strerror;
  decltype(&::curl_slist_append) slist_append;
  decltype(&::curl_slist_free_all) slist_free_all;
};

base::Result<CurlFunctions> OpenCurl() {
  void* const library = ::dlopen("libcurl.so.4", RTLD_LAZY | RTLD_LOCAL);
  if (library == nullptr) {
    return base::Error{base::ErrorCode::kUnavailable,
                       base::StrCat("transport: ", ::dlerror(), " (Debian's package libcurl4)")};
  }
  CurlFunctions functions{};
  const char* missing = nullptr;
  const auto find = [&](auto& function, const char* name) {
    void* const symbol = ::dlsym(library, name);
    if (symbol == nullptr) missing = name;
    std::memcpy(&function, &symbol, sizeof symbol);
  };
  find(functions.global_init, "curl_global_init");
  find(functions.easy_init, "curl_easy_init");
  find(functions.easy_cleanup, "curl_easy_cleanup");
  find(functions.easy_reset, "curl_easy_reset");
  find(functions.easy_setopt, "curl_easy_setopt");
  find(functions.easy_getinfo, "curl_easy_getinfo");
  find(functions.easy_perform, "curl_easy_perform");
  find(functions.easy_strerror, "curl_easy_strerror");
  find(functions.slist_append, "curl_slist_append");
  find(functions.slist_free_all, "curl_slist_free_all");
  if (missing != nullptr) {
    return base::Error{base::ErrorCode::kUnavailable,
                       base::StrCat("transport: libcurl.so.4 has no ", missing)};
  }
  return functions;
}

// Opened once, for good; a failure stays one.
const base::Result<CurlFunctions>& OpenedCurl() {
  static const base::Result<CurlFunctions> opened = OpenCurl();
  return opened;
}

// REQUIRES: OpenedCurl() is ok.
const CurlFunctions& Curl() { return *OpenedCurl(); }

using base::Error;
using base::ErrorCode;
using base::Result;
using base::Status;
using base::StrCat;

constexpr std::size_t kHeaderBytesMax = 65536;

struct FreeCurl {
  void operator()(CURL* curl) const { Curl().easy_cleanup(curl); }
};
struct FreeList {
  void operator()(curl_slist* list) const { Curl().slist_free_all(list); }
};

class CurlTransport final : public Transport {
 public:
  CurlTransport(const CurlOptions& options, CURL* curl) : options_(options), curl_(curl) {}

  Result<HttpAnswer> Do(const HttpRequest& request) override;
  void Cancel() override { cancelled_.store(true); }

 private:
  // One request under way.
  struct Exchange {
    CurlTransport* self = nullptr;
    const HttpRequest* request = nullptr;
    HttpAnswer answer;
    std::uint64_t sent = 0;
    std::size_t header_bytes = 0;
    bool sink_begun = false;
    std::optional<Error> error;  // What stopped it on our side.
  };

  static std::size_t OnHeader(char* data, std::size_t size, std::size_t count, void* pointer);
  static std::size_t OnBody(char* data, std::size_t size, std::size_t count, void* pointer);
  static std::size_t OnRead(char* out, std::size_t size, std::size_t count, void* pointer);
  static int OnSeek(void* pointer, curl_off_t offset, int origin);
  static int OnProgress(void* pointer, curl_off_t, curl_off_t, curl_off_t, curl_off_t);

  CurlOptions options_;
  std::unique_ptr<CURL, FreeCurl> curl_;
  std::atomic<bool> cancelled_{false};
};

std::size_t CurlTransport::OnHeader(char* data, std::size_t size, std::size_t count,
                                    void* pointer) {
  auto* exchange = static_cast<Exchange*>(pointer);
  const std::string_view line(data, size * count);
  exchange->header_bytes += line.size();
  if (exchange->header_bytes > kHeaderBytesMax) {
    exchange->error = Error{ErrorCode::kUnavailable, "the answer's header is too long"};
    return 0;
  }
  if (line.starts_with("HTTP/")) {
    exchange->answer.headers.clear();  // What came before was interim ("100 Continue").
    return line.size();
  }
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return line.size();
  std::string name(line.substr(0, colon));
  for (char& c : name) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  exchange->answer.headers.emplace_back(std::move(name), base::Trim(line.substr(colon + 1)));
  return line.size();
}

std::size_t CurlTransport::OnBody(char* data, std::size_t size, std::size_t count, void* pointer) {
  auto* exchange = static_cast<Exchange*>(pointer);
  const std::size_t bytes = size * count;
  long status = 0;
  Curl().easy_getinfo(exchange->self->curl_.get(), CURLINFO_RESPONSE_CODE, &status);
  AnswerSink* sink = exchange->request->sink;
  if (sink != nullptr && (status == 200 || status == 206)) {
    Status taken;
    if (!exchange->sink_begun) {
      exchange->sink_begun = true;
      taken = sink->Begin(static_cast<int>(status), exchange->answer.headers);
    }
    if (taken.ok()) {
      taken = sink->Append({reinterpret_cast<const std::uint8_t*>(data), bytes});
    }
    if (!taken.ok()) {
      exchange->error = taken.error();
      return 0;
    }
    return bytes;
  }
  if (exchange->answer.body.size() + bytes > exchange->request->answer_bytes_max) {
    exchange->error = Error{ErrorCode::kUnavailable, "the answer is too long"};
    return 0;
  }
  exchange->answer.body.append(data, bytes);
  return bytes;
}

std::size_t CurlTransport::OnRead(char* out, std::size_t size, std::size_t count, void* pointer) {
  auto* exchange = static_cast<Exchange*>(pointer);
  const Result<std::size_t> got = exchange->request->body->ReadAt(
      exchange->sent, {reinterpret_cast<std::uint8_t*>(out), size * count});
  if (!got.ok()) {
    exchange->error = got.error();
    return CURL_READFUNC_ABORT;
  }
  exchange->sent += *got;
  return *got;
}

// A kept connection that turns out to be closed makes curl begin anew.
int CurlTransport::OnSeek(void* pointer, curl_off_t offset, int origin) {
  if (origin != SEEK_SET || offset < 0) return CURL_SEEKFUNC_FAIL;
  static_cast<Exchange*>(pointer)->sent = static_cast<std::uint64_t>(offset);
  return CURL_SEEKFUNC_OK;
}

int CurlTransport::OnProgress(void* pointer, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<Exchange*>(pointer)->self->cancelled_.load() ? 1 : 0;
}

Result<HttpAnswer> CurlTransport::Do(const HttpRequest& request) {
  if (cancelled_.load()) return Error{ErrorCode::kUnavailable, "stopped"};
  CURL* curl = curl_.get();
  Curl().easy_reset(curl);  // Keeps connections and TLS sessions.
  Exchange exchange;
  exchange.self = this;
  exchange.request = &request;

  std::string url = options_.server + request.path;
  if (!request.query.empty()) url += "?" + request.query;
  Curl().easy_setopt(curl, CURLOPT_URL, url.c_str());
  Curl().easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);  // What is signed is what is sent.
  Curl().easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  Curl().easy_setopt(curl, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  const bool is_plain = options_.server.starts_with("http://");
  Curl().easy_setopt(curl, CURLOPT_PROTOCOLS_STR, is_plain ? "http" : "https");
  Curl().easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  Curl().easy_setopt(curl, CURLOPT_NOPROXY, "localhost,127.0.0.1,::1");
  Curl().easy_setopt(curl, CURLOPT_USERAGENT, "tinylcm");
  Curl().easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS,
                     static_cast<long>(options_.connect_timeout.count()));
  Curl().easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(request.timeout.count()));
  // A connection over which nothing comes for a minute is dead, whatever the time-out says.
  Curl().easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
  Curl().easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, 60L);
  Curl().easy_setopt(curl, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  std::string pin;
  if (!options_.tls_pin.empty()) {
    // The pinned key alone is trusted: whoever has it may have signed its certificate itself.
    pin = StrCat("sha256//", base::Base64Encode(base::Base64UrlDecode(options_.tls_pin).value()));
    Curl().easy_setopt(curl, CURLOPT_PINNEDPUBLICKEY, pin.c_str());
    Curl().easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
    Curl().easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
  } else if (!options_.ca_file.empty()) {
    Curl().easy_setopt(curl, CURLOPT_CAINFO, options_.ca_file.c_str());
    Curl().easy_setopt(curl, CURLOPT_CAPATH, nullptr);
  }
  if (options_.send_bytes_per_s_max > 0) {
    Curl().easy_setopt(curl, CURLOPT_MAX_SEND_SPEED_LARGE,
                       static_cast<curl_off_t>(options_.send_bytes_per_s_max));
  }

  std::unique_ptr<curl_slist, FreeList> headers;
  const auto add = [&](const std::string& line) {
    curl_slist* longer = Curl().slist_append(headers.get(), line.c_str());
    CHECK(longer != nullptr);
    static_cast<void>(headers.release());
    headers.reset(longer);
  };
  for (const auto& [name, value] : request.headers) {
    // "name;" is how curl is told to send a header without a value.
    add(value.empty() ? name + ";" : StrCat(name, ": ", value));
  }
  add("expect:");  // No waiting for "100 Continue".
  if (request.body != nullptr) {
    Curl().easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    Curl().easy_setopt(curl, CURLOPT_INFILESIZE_LARGE,
                       static_cast<curl_off_t>(request.body->size()));
    Curl().easy_setopt(curl, CURLOPT_READFUNCTION, &CurlTransport::OnRead);
    Curl().easy_setopt(curl, CURLOPT_READDATA, &exchange);
    Curl().easy_setopt(curl, CURLOPT_SEEKFUNCTION, &CurlTransport::OnSeek);
    Curl().easy_setopt(curl, CURLOPT_SEEKDATA, &exchange);
  }
  if (request.method == "HEAD") Curl().easy_setopt(curl, CURLOPT_NOBODY, 1L);
  Curl().easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  Curl().easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
  Curl().easy_setopt(curl, CURLOPT_HEADERFUNCTION, &CurlTransport::OnHeader);
  Curl().easy_setopt(curl, CURLOPT_HEADERDATA, &exchange);
  Curl().easy_setopt(curl, CURLOPT_WRITEFUNCTION, &CurlTransport::OnBody);
  Curl().easy_setopt(curl, CURLOPT_WRITEDATA, &exchange);
  Curl().easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, &CurlTransport::OnProgress);
  Curl().easy_setopt(curl, CURLOPT_XFERINFODATA, &exchange);
  Curl().easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);

  char reason[CURL_ERROR_SIZE] = "";
  Curl().easy_setopt(curl, CURLOPT_ERRORBUFFER, reason);
  const CURLcode code = Curl().easy_perform(curl);
  Curl().easy_setopt(curl, CURLOPT_ERRORBUFFER, nullptr);
  if (exchange.error) return *exchange.error;
  if (code == CURLE_SSL_PINNEDPUBKEYNOTMATCH) {
    return Error{ErrorCode::kPermissionDenied,
                 "the server's TLS key is not the one pinned at enrolment"};
  }
  if (code != CURLE_OK) {
    return Error{ErrorCode::kUnavailable,
                 StrCat(options_.server, ": ",
                        reason[0] != '\0' ? std::string_view(reason) : Curl().easy_strerror(code))};
  }
  long status = 0;
  Curl().easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  exchange.answer.status = static_cast<int>(status);
  // A whole answer of no bytes is one, too.
  if (request.sink != nullptr && !exchange.sink_begun && (status == 200 || status == 206)) {
    RETURN_IF_ERROR(request.sink->Begin(exchange.answer.status, exchange.answer.headers));
  }
  return std::move(exchange.answer);
}

}  // namespace

Result<std::unique_ptr<Transport>> MakeCurlTransport(const CurlOptions& options) {
  const auto refuse = [&](std::string_view why) {
    return Error{ErrorCode::kInvalidArgument, StrCat("server '", options.server, "': ", why)};
  };
  std::string_view rest = options.server;
  const bool is_plain = rest.starts_with("http://");
  if (is_plain) {
    rest.remove_prefix(7);
  } else if (rest.starts_with("https://")) {
    rest.remove_prefix(8);
  } else {
    return refuse("not of the form https://host:port");
  }
  if (rest.empty() || rest.find_first_of("/?#@ \t\r\n") != std::string_view::npos) {
    return refuse("not of the form https://host:port");
  }
  if (is_plain && !IsLoopback(rest) && !options.allow_insecure_http) {
    return refuse("plain HTTP is accepted to this machine only");
  }
  if (!options.tls_pin.empty()) {
    const Result<base::Bytes> pin = base::Base64UrlDecode(options.tls_pin);
    if (!pin.ok() || pin->size() != 32) return refuse("the TLS pin is not base64url of 32 bytes");
  }
  // Not thread-safe by itself, and a program may have several transports.
  if (!OpenedCurl().ok()) return OpenedCurl().error();
  static std::once_flag once;
  std::call_once(once, [] { Curl().global_init(CURL_GLOBAL_DEFAULT); });
  CURL* curl = Curl().easy_init();
  if (curl == nullptr) return Error{ErrorCode::kInternal, "curl: no handle"};
  return std::unique_ptr<Transport>(std::make_unique<CurlTransport>(options, curl));
}

}  // namespace tinylcm::sync
