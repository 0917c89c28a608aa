// WebFiles: the dashboard's files, compiled in, gzip-compressed once at build time.

#pragma once

#include <span>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "tinysphere/http/message.h"

namespace tinysphere::http {

struct WebFile {
  std::string_view path;          // "/index.html"
  std::string_view content_type;  // "text/html; charset=utf-8"
  std::string_view etag;          // Without quotes.
  base::ByteView gzip;            // Every browser of the last 20 years takes it; it is always sent.
};

// Answers a GET: the file, or index.html for a path of the single-page application (no dot in its
// last part), or kNotFound. Files under /assets/ carry a hash in their name and are immutable.
// Strict Content-Security-Policy; styles may be inline, for Mantine sets them at run time.
base::Result<Response> ServeWebFile(std::span<const WebFile> files, const Request& request);

}  // namespace tinysphere::http
