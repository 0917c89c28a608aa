#include "tinysphere/web/web_files.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

namespace tinysphere::web {
namespace {

TEST(WebFiles, HoldThePageThatStartsTheDashboard) {
  const auto files = WebFiles();
  const auto index = std::find_if(files.begin(), files.end(),
                                  [](const auto& file) { return file.path == "/index.html"; });
  ASSERT_NE(index, files.end());
  EXPECT_EQ(index->content_type, "text/html; charset=utf-8");
}

TEST(WebFiles, AreGzipMembersWithDistinctTagsInOrderOfTheirPaths) {
  std::set<std::string> etags;
  std::string before;
  for (const http::WebFile& file : WebFiles()) {
    // RFC 1952 2.3.1: 1f 8b, then 8 for deflate.
    ASSERT_GT(file.gzip.size(), 18u) << file.path;
    EXPECT_EQ(file.gzip[0], 0x1f) << file.path;
    EXPECT_EQ(file.gzip[1], 0x8b) << file.path;
    EXPECT_EQ(file.gzip[2], 8) << file.path;
    EXPECT_TRUE(etags.insert(std::string(file.etag)).second) << file.path;
    EXPECT_LT(before, file.path);
    before = file.path;
  }
  EXPECT_GE(etags.size(), 3u);  // A page, a script and a style sheet at least.
}

}  // namespace
}  // namespace tinysphere::web
