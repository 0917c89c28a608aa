#include "tinysphere/http/message.h"

#include <algorithm>

#include "base/check.h"
#include "base/text.h"

namespace tinysphere::http {

using base::Error;
using base::ErrorCode;

namespace {

bool EqualsIgnoringCase(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return lower(x) == lower(y); });
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// nullopt for a '%' that two hex digits do not follow, or for a control character.
std::optional<std::string> PercentDecode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = HexDigit(text[i + 1]);
      const int low = HexDigit(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      c = static_cast<char>(high * 16 + low);
      i += 2;
    } else if (c == '+' && plus_is_space) {
      c = ' ';
    }
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return std::nullopt;
    out += c;
  }
  return out;
}

std::string ErrorJson(std::string_view code, std::string_view message, std::string_view field) {
  base::Json error = base::Json::MakeObject({{"code", code}, {"message", message}});
  if (!field.empty()) error.Set("field", field);
  return base::Json::MakeObject({{"error", std::move(error)}}).Write();
}

// One range "bytes=a-b" of a content; nullopt for what is to be ignored (RFC 9110 14.2), an offset
// beyond the end for what cannot be satisfied.
struct Range {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};
std::optional<Range> ParseRange(std::string_view text, std::uint64_t size) {
  constexpr std::string_view kUnit = "bytes=";
  if (!text.starts_with(kUnit) || text.find(',') != std::string_view::npos) return std::nullopt;
  text.remove_prefix(kUnit.size());
  const std::size_t dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto number = [](std::string_view digits) -> std::optional<std::uint64_t> {
    if (digits.empty() || digits.size() > 18) return std::nullopt;
    std::uint64_t value = 0;
    for (const char c : digits) {
      if (c < '0' || c > '9') return std::nullopt;
      value = value * 10 + static_cast<std::uint64_t>(c - '0');
    }
    return value;
  };
  const std::string_view first = text.substr(0, dash);
  const std::string_view last = text.substr(dash + 1);
  if (first.empty()) {  // The last so many bytes.
    const auto count = number(last);
    if (!count) return std::nullopt;
    if (*count == 0) return Range{size, 0};
    const std::uint64_t bytes = std::min(*count, size);
    return Range{size - bytes, bytes};
  }
  const auto begin = number(first);
  if (!begin) return std::nullopt;
  if (*begin >= size) return Range{size, 0};
  if (last.empty()) return Range{*begin, size - *begin};
  const auto end = number(last);
  if (!end || *end < *begin) return std::nullopt;
  return Range{*begin, std::min(*end + 1, size) - *begin};
}

}  // namespace

const char* Name(Method method) {
  switch (method) {
    case Method::kGet:
      return "GET";
    case Method::kHead:
      return "HEAD";
    case Method::kPost:
      return "POST";
    case Method::kPut:
      return "PUT";
    case Method::kPatch:
      return "PATCH";
    case Method::kDelete:
      return "DELETE";
    case Method::kOther:
      break;
  }
  return "OTHER";
}

Method ParseMethod(std::string_view text) {
  for (const Method method : {Method::kGet, Method::kHead, Method::kPost, Method::kPut,
                              Method::kPatch, Method::kDelete}) {
    if (text == Name(method)) return method;
  }
  return Method::kOther;
}

void Headers::Add(std::string name, std::string value) {
  fields_.emplace_back(std::move(name), std::move(value));
}

void Headers::Set(std::string_view name, std::string value) {
  std::erase_if(fields_, [&](const auto& field) { return EqualsIgnoringCase(field.first, name); });
  fields_.emplace_back(std::string(name), std::move(value));
}

const std::string* Headers::Find(std::string_view name) const {
  for (const auto& [field, value] : fields_) {
    if (EqualsIgnoringCase(field, name)) return &value;
  }
  return nullptr;
}

std::string_view Headers::Get(std::string_view name) const {
  const std::string* value = Find(name);
  return value ? std::string_view(*value) : std::string_view();
}

std::optional<std::string> Headers::Combined(std::string_view name) const {
  std::optional<std::string> all;
  for (const auto& [field, value] : fields_) {
    if (!EqualsIgnoringCase(field, name)) continue;
    if (all) {
      *all += ", ";
      *all += value;
    } else {
      all = value;
    }
  }
  return all;
}

const char* Name(Role role) {
  switch (role) {
    case Role::kViewer:
      return "viewer";
    case Role::kOperator:
      return "operator";
    case Role::kAdmin:
      return "admin";
  }
  return "viewer";
}

base::Result<Role> ParseRole(std::string_view text) {
  for (const Role role : {Role::kViewer, Role::kOperator, Role::kAdmin}) {
    if (text == Name(role)) return role;
  }
  return Error{ErrorCode::kInvalidArgument,
               base::StrCat("role: \"", text, "\" is none of viewer, operator, admin")};
}

Body::Body(std::string text)
    : text_(std::move(text)), bytes_(text_.size()), sha256_(base::Sha256Of(base::AsBytes(text_))) {}

Body::Body(base::FileSystem& fs, std::string path, std::uint64_t bytes, base::Sha256Digest sha256)
    : fs_(&fs), path_(std::move(path)), bytes_(bytes), sha256_(sha256) {}

Body::Body(Block block, std::size_t bytes, base::Sha256Digest sha256)
    : block_(std::move(block)), bytes_(bytes), sha256_(sha256) {}

Body::~Body() { Drop(); }

Body::Body(Body&& other) noexcept { *this = std::move(other); }

Body& Body::operator=(Body&& other) noexcept {
  if (this == &other) return *this;
  Drop();
  fs_ = std::exchange(other.fs_, nullptr);
  path_ = std::exchange(other.path_, {});
  text_ = std::exchange(other.text_, {});
  block_ = std::move(other.block_);
  bytes_ = std::exchange(other.bytes_, 0);
  sha256_ = other.sha256_;
  return *this;
}

void Body::Drop() {
  // Moved away, or it is swept at the next start.
  if (fs_ && !path_.empty()) (void)fs_->Remove(path_).ok();
}

base::ByteView Body::view() const {
  CHECK(!is_spooled());
  return block_ ? base::ByteView(block_.span()).first(bytes_) : base::AsBytes(text_);
}

const std::string& Body::text() const {
  CHECK(!is_spooled() && !block_);
  return text_;
}

const std::string& Body::path() const {
  CHECK(is_spooled());
  return path_;
}

base::Result<base::Json> Body::ParseJson() const {
  base::Result<base::Json> json = base::Json::Parse(text());
  if (!json.ok()) return Error{ErrorCode::kInvalidArgument, "body: " + json.error().message};
  return json;
}

std::string_view Request::Query(std::string_view name) const {
  const auto found = query.find(name);
  return found == query.end() ? std::string_view() : std::string_view(found->second);
}

const std::string& Request::Param(std::string_view name) const {
  const auto found = params.find(name);
  CHECK(found != params.end());
  return found->second;
}

std::size_t Request::Limit(std::size_t usual, std::size_t most) const {
  const auto asked = base::ParseInt(Query("limit"));
  if (!asked.ok()) return usual;
  return static_cast<std::size_t>(
      std::clamp<std::int64_t>(asked.value(), 1, static_cast<std::int64_t>(most)));
}

base::Status SetTarget(Request& request, std::string_view target) {
  const Error refused{ErrorCode::kInvalidArgument, "request target: malformed"};
  if (target.empty() || target.front() != '/') return refused;
  const std::size_t mark = target.find('?');
  request.raw_path = std::string(target.substr(0, mark));
  request.has_query = mark != std::string_view::npos;
  request.raw_query = request.has_query ? std::string(target.substr(mark + 1)) : std::string();
  std::optional<std::string> path = PercentDecode(request.raw_path, false);
  if (!path) return refused;
  for (const std::string_view part : base::Split(*path, '/')) {
    if (part == "." || part == "..") return refused;
  }
  request.path = std::move(*path);
  request.query.clear();
  if (request.raw_query.empty()) return {};
  for (const std::string_view pair : base::Split(request.raw_query, '&')) {
    if (pair.empty()) continue;
    const std::size_t equals = pair.find('=');
    std::optional<std::string> name = PercentDecode(pair.substr(0, equals), true);
    std::optional<std::string> value =
        equals == std::string_view::npos ? "" : PercentDecode(pair.substr(equals + 1), true);
    if (!name || !value) return refused;
    request.query.emplace(std::move(*name), std::move(*value));
  }
  return {};
}

Response::Response() = default;
Response::Response(const Response&) = default;
Response::Response(Response&&) noexcept = default;
Response& Response::operator=(const Response&) = default;
Response& Response::operator=(Response&&) noexcept = default;
Response::~Response() = default;

Response Response::Json(int status, const base::Json& json) {
  return Text(status, "application/json", json.Write());
}

Response Response::AskAgain(std::chrono::milliseconds after) {
  Response response;
  response.again_after = after;
  return response;
}

Response Response::HangUp() {
  Response response;
  response.hangs_up = true;
  return response;
}

Response Response::NoContent() {
  Response response;
  response.status = 204;
  return response;
}

Response Response::Text(int status, std::string_view content_type, std::string text) {
  Response response;
  response.status = status;
  response.headers.Add("Content-Type", std::string(content_type));
  response.body = std::move(text);
  return response;
}

Response Response::Events(std::shared_ptr<EventSubscription> subscription) {
  Response response;
  response.headers.Add("Content-Type", "text/event-stream");
  response.headers.Add("Cache-Control", "no-store");
  response.headers.Add("X-Accel-Buffering", "no");  // nginx would hold events back.
  response.body = std::move(subscription);
  return response;
}

Response Response::File(const Request& request, std::shared_ptr<const base::ReadableFile> file,
                        std::string_view content_type, std::string_view etag, bool is_immutable) {
  const std::string quoted = base::StrCat("\"", etag, "\"");
  Response response;
  response.headers.Add("ETag", quoted);
  response.headers.Add("Accept-Ranges", "bytes");
  response.headers.Add("Cache-Control",
                       is_immutable ? "private, max-age=31536000, immutable" : "private, no-cache");
  const std::string_view known = request.headers.Get("If-None-Match");
  if (known == "*" || known.find(quoted) != std::string_view::npos) {
    response.status = 304;
    return response;
  }
  response.headers.Add("Content-Type", std::string(content_type));
  const std::uint64_t size = file->size();
  std::optional<Range> range;
  // A range of another version would not fit what the client has.
  const std::string_view if_range = request.headers.Get("If-Range");
  if (if_range.empty() || if_range == quoted) {
    range = ParseRange(request.headers.Get("Range"), size);
  }
  if (range && range->bytes == 0) {
    response.status = 416;
    response.headers.Set("Content-Type", "application/json");
    response.headers.Add("Content-Range", base::StrCat("bytes */", size));
    response.body = ErrorJson("invalid_argument", "the range lies outside of the content", "");
    return response;
  }
  if (range) {
    response.status = 206;
    response.headers.Add(
        "Content-Range",
        base::StrCat("bytes ", range->offset, "-", range->offset + range->bytes - 1, "/", size));
    response.body = Stretch{std::move(file), range->offset, range->bytes};
  } else {
    response.body = Stretch{std::move(file), 0, size};
  }
  return response;
}

Response Response::TooManyRequests(std::string_view message, std::chrono::seconds retry_after) {
  Response response = ErrorResponse(429, "exhausted", message);
  response.headers.Add("Retry-After", std::to_string(retry_after.count()));
  return response;
}

int StatusOf(base::ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return 400;
    case ErrorCode::kPermissionDenied:
      return 403;
    case ErrorCode::kNotFound:
      return 404;
    case ErrorCode::kConflict:
      return 409;
    case ErrorCode::kUnsupported:
      return 415;
    case ErrorCode::kCorrupt:
      return 422;
    case ErrorCode::kUnavailable:
    case ErrorCode::kExhausted:
      return 503;
    case ErrorCode::kInternal:
      break;
  }
  return 500;
}

Response ErrorResponse(const base::Error& error, std::string_view field) {
  const int status = StatusOf(error.code);
  // What went wrong inside is the log's business, not the caller's.
  const std::string_view message =
      status == 500 ? std::string_view("internal error") : std::string_view(error.message);
  Response response =
      Response::Text(status, "application/json", ErrorJson(base::Name(error.code), message, field));
  if (status == 503) response.headers.Add("Retry-After", "5");
  return response;
}

Response ErrorResponse(int status, std::string_view code, std::string_view message) {
  return Response::Text(status, "application/json", ErrorJson(code, message, ""));
}

}  // namespace tinysphere::http
