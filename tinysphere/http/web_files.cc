#include "tinysphere/http/web_files.h"

#include <algorithm>

#include "base/text.h"

namespace tinysphere::http {

namespace {

constexpr std::string_view kPolicy =
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const WebFile* Find(std::span<const WebFile> files, std::string_view path) {
  const auto found = std::find_if(files.begin(), files.end(),
                                  [&](const WebFile& file) { return file.path == path; });
  return found == files.end() ? nullptr : &*found;
}

}  // namespace

base::Result<Response> ServeWebFile(std::span<const WebFile> files, const Request& request) {
  const WebFile* file = Find(files, request.path);
  const std::string_view last = std::string_view(request.path).substr(request.path.rfind('/') + 1);
  const bool is_page = last.find('.') == std::string_view::npos &&
                       !request.path.starts_with("/api/") && request.path != "/api";
  if (file == nullptr && is_page) file = Find(files, "/index.html");
  if (file == nullptr) {
    return base::Error{base::ErrorCode::kNotFound, base::StrCat(request.path, ": no such page")};
  }
  const std::string etag = base::StrCat("\"", file->etag, "\"");
  Response response;
  response.headers.Add("ETag", etag);
  response.headers.Add("Cache-Control", file->path.starts_with("/assets/")
                                            ? "public, max-age=31536000, immutable"
                                            : "no-cache");
  response.headers.Add("Content-Security-Policy", std::string(kPolicy));
  response.headers.Add("X-Frame-Options", "DENY");
  response.headers.Add("Referrer-Policy", "same-origin");
  if (request.headers.Get("If-None-Match").find(etag) != std::string_view::npos) {
    response.status = 304;
    return response;
  }
  response.headers.Add("Content-Type", std::string(file->content_type));
  response.headers.Add("Content-Encoding", "gzip");
  response.headers.Add("Vary", "Accept-Encoding");
  response.body = file->gzip;
  return response;
}

}  // namespace tinysphere::http
