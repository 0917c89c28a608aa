#include "tinysphere/platform/s3/client.h"

#include <algorithm>

#include "base/text.h"
#include "tinysphere/platform/s3/xml.h"

namespace tinysphere::s3 {

using base::Error;
using base::ErrorCode;
using base::Result;
using base::StrCat;
using outbound::Answer;

namespace {

constexpr int kAttempts = 4;
constexpr base::Duration kPauseFirst{100};
// A call of any size ends by itself when nothing moves for so long.
constexpr base::Duration kStall{30'000};

bool MayPass(int status) { return status >= 500 || status == 429 || status == 408; }

// Between 0 and `most`.
base::Duration RandomPause(base::Duration most) {
  std::uint64_t random = 0;
  for (const std::uint8_t byte : base::RandomBytes(4)) random = random << 8 | byte;
  return base::Duration(
      static_cast<std::int64_t>(random % (static_cast<std::uint64_t>(most.count()) + 1)));
}

// One line, and not for ever: it ends in logs.
std::string Short(std::string_view text) {
  std::string out(text.substr(0, 200));
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  }
  return out;
}

}  // namespace

Client::Client(const Location& location, outbound::HttpClient& http, base::Clock& clock)
    : location_(location), http_(http), clock_(clock) {}

Client::Target Client::TargetOf(const Call& call) const {
  const std::string key = outbound::PercentEncode(call.key, /*keeps_slashes=*/true);
  if (location_.is_virtual_host) {
    return {.host = StrCat(call.bucket, ".", location_.host), .path = "/" + key};
  }
  return {.host = location_.host,
          .path = key.empty() ? "/" + call.bucket : StrCat("/", call.bucket, "/", key)};
}

std::string Client::Where(const Call& call) const {
  return StrCat("s3 ", call.method, " ", call.bucket, call.key.empty() ? "" : "/", call.key);
}

Result<Answer> Client::Do(const Call& call) {
  const Target target = TargetOf(call);
  const std::string sha256 =
      call.file.file != nullptr ? call.payload_sha256 : base::Sha256Hex(call.body);
  const std::string query = CanonicalQuery(call.query);
  outbound::Request request{
      .method = call.method,
      .url = StrCat(location_.scheme, "://", target.host, target.path, query.empty() ? "" : "?",
                    query),
      .body = call.body,
      .file = call.file,
      .answer_bytes_max = call.answer_bytes_max,
      .timeout = base::Duration(0),
      .stall = kStall,
  };
  for (int attempt = 1;; ++attempt) {
    // Signed anew each time: a signature is good for some minutes only.
    request.headers =
        SignedHeaders({.method = call.method,
                       .host = target.host,
                       .path = target.path,
                       .query = call.query,
                       .headers = call.headers},
                      sha256, location_.credentials, {.region = location_.region}, clock_.Now());
    Result<Answer> answer = http_.Do(request);
    const bool may_pass =
        answer.ok() ? MayPass(answer->status) : answer.error().code == ErrorCode::kUnavailable;
    if (!may_pass || attempt == kAttempts) {
      if (answer.ok()) return answer;
      const Error& error = answer.error();
      // Untrusted certificates are a person's to mend; what waits here must wait.
      return Error{
          error.code == ErrorCode::kPermissionDenied ? ErrorCode::kUnavailable : error.code,
          StrCat(Where(call), ": ", error.message)};
    }
    clock_.SleepUntil(clock_.Uptime() + RandomPause(kPauseFirst * (1 << attempt)));
  }
}

Error Client::Failure(const Call& call, const Answer& answer) const {
  const std::optional<StoreError> told = ReadError(answer.body);
  const std::string code = told ? told->code : "";
  const std::string what =
      told ? StrCat("HTTP ", answer.status, " ", Short(code), ": ", Short(told->message))
           : StrCat("HTTP ", answer.status);
  const auto error = [&](ErrorCode is, std::string_view more) {
    return Error{is, StrCat(Where(call), ": ", what, more)};
  };
  if (code == "RequestTimeTooSkewed") {
    return error(ErrorCode::kUnavailable,
                 StrCat("; this machine's clock says ", base::FormatTime(clock_.Now()),
                        ", the store's ", Short(answer.Header("date")), ": set it right"));
  }
  if (code == "NoSuchBucket") {
    return error(ErrorCode::kUnavailable, "; the server makes its buckets when it starts");
  }
  if (code == "PermanentRedirect" || code == "AuthorizationHeaderMalformed" ||
      answer.status == 301) {
    const std::string_view region = answer.Header("x-amz-bucket-region");
    return error(ErrorCode::kUnavailable, region.empty()
                                              ? "; region= or endpoint= is another"
                                              : StrCat("; the bucket's region is ", Short(region)));
  }
  if (answer.status == 404) return error(ErrorCode::kNotFound, "");
  if (answer.status == 507 || code == "XMinioStorageFull" || code == "QuotaExceeded") {
    return error(ErrorCode::kExhausted, "");
  }
  if (answer.status == 401 || answer.status == 403) {
    return error(ErrorCode::kUnavailable,
                 "; AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be good for it");
  }
  // AWS says these with 400: new credentials, or another try, and it goes on.
  const bool passes = code == "ExpiredToken" || code == "RequestTimeout" || code == "SlowDown";
  if (passes || answer.status == 409 || answer.status == 412 || MayPass(answer.status)) {
    return error(ErrorCode::kUnavailable, "");
  }
  return error(ErrorCode::kInternal, "");
}

Result<Answer> Client::DoWell(const Call& call) {
  ASSIGN_OR_RETURN(Answer answer, Do(call));
  if (answer.status >= 200 && answer.status < 300) return answer;
  return Failure(call, answer);
}

std::string Client::PresignedUrl(const Call& call, base::Duration life) const {
  const Target target = TargetOf(call);
  return StrCat(
      location_.scheme, "://", target.host, target.path, "?",
      PresignedQuery(
          {.method = call.method, .host = target.host, .path = target.path, .query = call.query},
          life, location_.credentials, {.region = location_.region}, clock_.Now()));
}

}  // namespace tinysphere::s3
