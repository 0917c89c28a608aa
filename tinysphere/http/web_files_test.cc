#include "tinysphere/http/web_files.h"

#include <gtest/gtest.h>

#include <array>

namespace tinysphere::http {
namespace {

constexpr std::array<std::uint8_t, 2> kBytes = {1, 2};
constexpr std::array kFiles = {
    WebFile{"/assets/index-1a2b.js", "text/javascript", "e1", kBytes},
    WebFile{"/index.html", "text/html; charset=utf-8", "e2", kBytes},
};

base::Result<Response> Get(std::string_view path, std::string_view known = "") {
  Request request;
  EXPECT_TRUE(SetTarget(request, path).ok());
  if (!known.empty()) request.headers.Add("If-None-Match", std::string(known));
  return ServeWebFile(kFiles, request);
}

TEST(WebFiles, GivesAFileAsItIsCompressed) {
  const Response response = Get("/assets/index-1a2b.js").value();
  EXPECT_EQ(response.headers.Get("Content-Encoding"), "gzip");
  EXPECT_EQ(response.headers.Get("Content-Type"), "text/javascript");
  EXPECT_NE(response.headers.Get("Cache-Control").find("immutable"), std::string_view::npos);
  EXPECT_EQ(std::get<base::ByteView>(response.body).size(), 2u);
}

TEST(WebFiles, AnswersEveryPageWithTheApplication) {
  for (const char* path : {"/", "/devices", "/devices/d-1"}) {
    const Response response = Get(path).value();
    EXPECT_EQ(response.headers.Get("Content-Type"), "text/html; charset=utf-8") << path;
    EXPECT_EQ(response.headers.Get("Cache-Control"), "no-cache") << path;
  }
}

TEST(WebFiles, DoesNotPassThePageOffAsSomethingElse) {
  for (const char* path : {"/assets/old-9f.js", "/favicon.ico", "/api/v1/nothing", "/api"}) {
    EXPECT_FALSE(Get(path).ok()) << path;
  }
}

TEST(WebFiles, AllowsNoFramesAndNoForeignScripts) {
  const Response response = Get("/").value();
  const std::string_view policy = response.headers.Get("Content-Security-Policy");
  EXPECT_NE(policy.find("default-src 'self'"), std::string_view::npos);
  EXPECT_NE(policy.find("frame-ancestors 'none'"), std::string_view::npos);
  EXPECT_EQ(policy.find("script-src"), std::string_view::npos);
}

TEST(WebFiles, SaysWhenNothingChanged) {
  EXPECT_EQ(Get("/index.html", "\"e2\"").value().status, 304);
  EXPECT_EQ(Get("/index.html", "\"e1\"").value().status, 200);
}

}  // namespace
}  // namespace tinysphere::http
