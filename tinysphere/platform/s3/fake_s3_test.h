// FakeS3: the calls of an S3 store that we make, in memory, stricter than a real one.
//
// It checks every signature and every body against its stated hash, refuses what it does not know,
// and can be told to fail a call.

#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/text.h"
#include "tests/support/http_server.h"
#include "tinysphere/platform/s3/location.h"
#include "tinysphere/platform/s3/signer.h"

namespace tinysphere::s3 {

class FakeS3 {
 public:
  // An answer given instead of doing the call; nullopt lets it happen.
  using Fault = std::function<std::optional<tests::HttpAnswer>(const tests::HttpRequest&)>;

  FakeS3() : server_([this](const tests::HttpRequest& request) { return Handle(request); }) {}

  Location location(const std::string& prefix = "fake") const {
    return {.bucket_prefix = prefix,
            .scheme = "http",
            .host = server_.url().substr(7),
            .credentials = credentials_};
  }

  void SetFault(Fault fault) {
    const std::lock_guard lock(mutex_);
    fault_ = std::move(fault);
  }
  // "GET /fake-bundles/a", without queries, in their order.
  std::vector<std::string> Calls() {
    const std::lock_guard lock(mutex_);
    return std::exchange(calls_, {});
  }
  std::map<std::string, std::string> Objects(const std::string& bucket) {
    const std::lock_guard lock(mutex_);
    return buckets_[bucket];
  }
  void Write(const std::string& bucket, const std::string& key, const std::string& content) {
    const std::lock_guard lock(mutex_);
    buckets_[bucket][key] = content;
  }
  std::size_t open_uploads() {
    const std::lock_guard lock(mutex_);
    return uploads_.size();
  }

  static tests::HttpAnswer Error(int status, const std::string& code) {
    return tests::HttpAnswer::Of(
        status, base::StrCat("<Error><Code>", code, "</Code><Message>so it is</Message></Error>"));
  }

 private:
  struct Target {
    std::string path;
    std::string bucket;
    std::string key;
    std::map<std::string, std::string> query;
  };

  static std::string Decode(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '%') {
        out += static_cast<char>(base::HexDecode(text.substr(i + 1, 2)).value().front());
        i += 2;
      } else {
        out += text[i];
      }
    }
    return out;
  }

  static Target Parse(const std::string& raw) {
    Target target;
    const std::size_t question = raw.find('?');
    target.path = raw.substr(0, question);
    const std::string decoded = Decode(target.path);
    const std::size_t slash = decoded.find('/', 1);
    target.bucket = decoded.substr(1, slash == std::string::npos ? slash : slash - 1);
    if (slash != std::string::npos) target.key = decoded.substr(slash + 1);
    if (question != std::string::npos) {
      const std::string query = raw.substr(question + 1);
      for (const std::string_view pair : base::Split(query, '&')) {
        const std::size_t equals = pair.find('=');
        EXPECT_NE(equals, std::string_view::npos) << raw;  // A store may sign "a" as "a=".
        target.query[Decode(pair.substr(0, equals))] = Decode(pair.substr(equals + 1));
      }
    }
    return target;
  }

  // The proof must be the one that we ourselves would make of what arrived.
  bool IsProven(const tests::HttpRequest& request, const Target& target) const {
    const auto header = [&](const std::string& name) {
      const auto found = request.headers.find(name);
      return found == request.headers.end() ? std::string() : found->second;
    };
    if (base::Sha256Hex(base::AsBytes(request.body)) != header("x-amz-content-sha256")) {
      return false;
    }
    const std::string given = header("authorization");
    const std::size_t names_at = given.find("SignedHeaders=") + 14;
    const std::string names = given.substr(names_at, given.find(',', names_at) - names_at);
    Unsigned unsigned_request{
        .method = request.method, .host = header("host"), .path = target.path};
    for (const auto& [name, value] : target.query) unsigned_request.query.emplace_back(name, value);
    for (const std::string_view name : base::Split(names, ';')) {
      if (name == "host" || name == "x-amz-date" || name == "x-amz-content-sha256") continue;
      unsigned_request.headers.emplace_back(name, header(std::string(name)));
    }
    std::string date = header("x-amz-date");
    if (date.size() != 16) return false;
    date = base::StrCat(date.substr(0, 4), "-", date.substr(4, 2), "-", date.substr(6, 5), ":",
                        date.substr(11, 2), ":", date.substr(13, 3));
    const Pairs made = SignedHeaders(unsigned_request, header("x-amz-content-sha256"), credentials_,
                                     {.region = "us-east-1"}, base::ParseTime(date).value());
    return made.back().second == given;
  }

  tests::HttpAnswer Handle(const tests::HttpRequest& request) {
    const std::lock_guard lock(mutex_);
    const Target target = Parse(request.target);
    calls_.push_back(base::StrCat(request.method, " ", target.path));
    if (fault_) {
      if (auto answer = fault_(request)) return *answer;
    }
    tests::HttpAnswer answer =
        IsProven(request, target)
            ? target.key.empty() ? OfBucket(request, target) : OfObject(request, target)
            : Error(403, "SignatureDoesNotMatch");
    if (request.method == "HEAD") {
      answer.bytes.resize(answer.bytes.find("\r\n\r\n") + 4);
    }
    return answer;
  }

  tests::HttpAnswer OfBucket(const tests::HttpRequest& request, const Target& target) {
    const bool is_there = buckets_.contains(target.bucket);
    if (request.method == "PUT") {
      if (is_there) return Error(409, "BucketAlreadyOwnedByYou");
      buckets_[target.bucket];
      return tests::HttpAnswer::Of(200, "");
    }
    if (!is_there) return Error(404, "NoSuchBucket");
    if (request.method == "HEAD") return tests::HttpAnswer::Of(200, "");
    if (request.method == "GET" && target.query.contains("list-type")) return List(target);
    if (request.method == "POST" && target.query.contains("delete")) {
      if (!request.headers.contains("content-md5")) return Error(400, "MissingContentMD5");
      std::string rest = request.body;
      for (std::size_t at = 0; (at = rest.find("<Key>")) != std::string::npos;) {
        const std::size_t end = rest.find("</Key>");
        buckets_[target.bucket].erase(rest.substr(at + 5, end - at - 5));
        rest.erase(0, end + 6);
      }
      return tests::HttpAnswer::Of(200, "<DeleteResult></DeleteResult>");
    }
    return Error(501, "NotImplemented");
  }

  tests::HttpAnswer List(const Target& target) {
    const auto parameter = [&](const std::string& name) {
      const auto found = target.query.find(name);
      return found == target.query.end() ? std::string() : found->second;
    };
    std::string after = parameter("start-after");
    if (!parameter("continuation-token").empty()) after = parameter("continuation-token").substr(5);
    // Pages of two at most: whoever lists must go on.
    const std::size_t most = std::min<std::size_t>(2, std::stoul(parameter("max-keys")));
    std::string contents;
    std::string last;
    std::size_t count = 0;
    bool is_cut = false;
    for (const auto& [key, content] : buckets_[target.bucket]) {
      if (key <= after || !key.starts_with(parameter("prefix"))) continue;
      if (count == most) {
        is_cut = true;
        break;
      }
      ++count;
      last = key;
      contents += base::StrCat("<Contents><Key>", key, "</Key><Size>", content.size(),
                               "</Size><LastModified>", base::FormatTime(base::SystemClock().Now()),
                               "</LastModified></Contents>");
    }
    return tests::HttpAnswer::Of(
        200, base::StrCat(
                 "<ListBucketResult><IsTruncated>", is_cut, "</IsTruncated>",
                 is_cut ? "<NextContinuationToken>page:" + last + "</NextContinuationToken>" : "",
                 contents, "</ListBucketResult>"));
  }

  tests::HttpAnswer OfObject(const tests::HttpRequest& request, const Target& target) {
    const auto bucket = buckets_.find(target.bucket);
    if (bucket == buckets_.end()) return Error(404, "NoSuchBucket");
    auto& objects = bucket->second;
    const auto& query = target.query;
    if (request.method == "POST" && query.contains("uploads")) {
      const std::string id = base::StrCat("upload+", ++next_upload_);
      uploads_[id];
      return tests::HttpAnswer::Of(200,
                                   base::StrCat("<InitiateMultipartUploadResult><UploadId>", id,
                                                "</UploadId></InitiateMultipartUploadResult>"));
    }
    if (query.contains("uploadId")) {
      const auto upload = uploads_.find(query.at("uploadId"));
      if (upload == uploads_.end()) return Error(404, "NoSuchUpload");
      if (request.method == "PUT") {
        upload->second[std::stoi(query.at("partNumber"))] = request.body;
        return tests::HttpAnswer::Of(200, "", {"ETag: " + EtagOf(request.body)});
      }
      if (request.method == "POST") {
        std::string whole;
        for (const auto& [number, part] : upload->second) {
          if (request.body.find(base::StrCat("<PartNumber>", number, "</PartNumber><ETag>",
                                             EtagOf(part), "</ETag>")) == std::string::npos) {
            return Error(400, "InvalidPart");
          }
          whole += part;
        }
        objects[target.key] = whole;
      }
      uploads_.erase(upload);
      return tests::HttpAnswer::Of(200, "<CompleteMultipartUploadResult/>");
    }
    if (request.method == "PUT") {
      objects[target.key] = request.body;
      return tests::HttpAnswer::Of(200, "", {"ETag: " + EtagOf(request.body)});
    }
    if (request.method == "DELETE") {
      objects.erase(target.key);
      return tests::HttpAnswer::Of(204, "");
    }
    const auto found = objects.find(target.key);
    if (found == objects.end()) return Error(404, "NoSuchKey");
    const std::string& content = found->second;
    const std::string etag = "ETag: " + EtagOf(content);
    if (request.method == "HEAD") return tests::HttpAnswer::Of(200, content, {etag});
    if (request.method != "GET") return Error(501, "NotImplemented");
    const auto match = request.headers.find("if-match");
    if (match != request.headers.end() && match->second != EtagOf(content)) {
      return Error(412, "PreconditionFailed");
    }
    const auto range = request.headers.find("range");
    if (range == request.headers.end()) return tests::HttpAnswer::Of(200, content, {etag});
    const std::string from_to = range->second.substr(6);
    const std::size_t from = std::stoul(from_to.substr(0, from_to.find('-')));
    const std::size_t to = std::min<std::size_t>(
        std::stoul(from_to.substr(from_to.find('-') + 1)) + 1, content.size());
    if (from >= content.size()) return Error(416, "InvalidRange");
    return tests::HttpAnswer::Of(
        206, content.substr(from, to - from),
        {etag, base::StrCat("Content-Range: bytes ", from, "-", to - 1, "/", content.size())});
  }

  static std::string EtagOf(const std::string& content) {
    return base::StrCat('"', base::Sha256Hex(base::AsBytes(content)).substr(0, 32), '"');
  }

  const Credentials credentials_{.access_key = "AKIAFAKE", .secret_key = "fake/secret+key"};
  std::mutex mutex_;
  Fault fault_;
  std::vector<std::string> calls_;
  std::map<std::string, std::map<std::string, std::string>> buckets_;
  std::map<std::string, std::map<int, std::string>> uploads_;
  int next_upload_ = 0;
  tests::HttpServer server_;
};

}  // namespace tinysphere::s3
