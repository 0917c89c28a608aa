// The client against a server of a few lines on this machine.

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <thread>

#include "base/crypto.h"
#include "base/file_system.h"
#include "base/text.h"
#include "tests/support/http_server.h"
#include "tinysphere/outbound/http_client.h"
#include "tinysphere/platform/openssl/certificate.h"

namespace tinysphere::outbound {
namespace {

using base::AsBytes;
using base::ErrorCode;
using tests::HttpAnswer;
using tests::HttpRequest;
using tests::HttpServer;

std::unique_ptr<HttpClient> Client(const ClientOptions& options = {}) {
  return MakeHttpClient(options).value();
}

class TextSink final : public BodySink {
 public:
  base::Status Append(base::ByteView bytes) override {
    text += base::AsText(bytes);
    return {};
  }
  std::string text;
};

class FullSink final : public BodySink {
 public:
  base::Status Append(base::ByteView) override {
    return base::Error{ErrorCode::kExhausted, "the disk is full"};
  }
};

// Its bytes are a function of their place, so that a wrong offset shows.
class CountingFile final : public base::ReadableFile {
 public:
  explicit CountingFile(std::uint64_t size) : size_(size) {}
  std::uint64_t size() const override { return size_; }
  base::Result<std::size_t> ReadAt(std::uint64_t offset,
                                   std::span<std::uint8_t> out) const override {
    const std::size_t count =
        offset >= size_ ? 0 : std::min<std::size_t>(out.size(), size_ - offset);
    for (std::size_t i = 0; i < count; ++i) out[i] = ByteAt(offset + i);
    return count;
  }
  static std::uint8_t ByteAt(std::uint64_t place) {
    return static_cast<std::uint8_t>(place * 31 + place / 251);
  }

 private:
  std::uint64_t size_;
};

TEST(HttpClient, SendsWhatWasAskedAndGivesBackTheAnswer) {
  HttpRequest seen;
  const HttpServer server([&](const HttpRequest& request) {
    seen = request;
    return HttpAnswer::Of(418, "short and stout", {"X-Pot: tea"});
  });
  const auto answer = Client()->Do({.method = "PATCH",
                                    .url = server.url() + "/a%2Fb/../c?x=1&y=%20",
                                    .headers = {{"X-One", "1"}, {"X-Empty", ""}},
                                    .body = AsBytes("body")});
  ASSERT_TRUE(answer.ok()) << answer.error().message;
  EXPECT_EQ(answer->status, 418);
  EXPECT_EQ(answer->body, "short and stout");
  EXPECT_EQ(answer->Header("x-pot"), "tea");
  EXPECT_EQ(answer->Header("x-none"), "");
  EXPECT_EQ(seen.method, "PATCH");
  EXPECT_EQ(seen.target, "/a%2Fb/../c?x=1&y=%20");  // Nothing is tidied up: it was signed so.
  EXPECT_EQ(seen.headers["x-one"], "1");
  EXPECT_TRUE(seen.headers.contains("x-empty"));
  EXPECT_EQ(seen.headers["content-length"], "4");
  EXPECT_EQ(seen.headers["user-agent"], "tinysphere");
  EXPECT_FALSE(seen.headers.contains("expect"));
  EXPECT_EQ(seen.body, "body");
}

TEST(HttpClient, SaysZeroLengthWhereABodyIsExpected) {
  HttpRequest seen;
  const HttpServer server([&](const HttpRequest& request) {
    seen = request;
    return HttpAnswer::Of(200, "");
  });
  const auto client = Client();
  ASSERT_TRUE(client->Do({.method = "POST", .url = server.url() + "/"}).ok());
  EXPECT_EQ(seen.headers["content-length"], "0");
  ASSERT_TRUE(client->Do({.method = "DELETE", .url = server.url() + "/"}).ok());
  EXPECT_EQ(seen.method, "DELETE");
  EXPECT_FALSE(seen.headers.contains("content-length"));
  ASSERT_TRUE(
      client->Do({.method = "DELETE", .url = server.url() + "/", .body = AsBytes("{}")}).ok());
  EXPECT_EQ(seen.body, "{}");
}

TEST(HttpClient, StreamsAStretchOfAFileOut) {
  std::string body;
  const HttpServer server([&](const HttpRequest& request) {
    body = request.body;
    return HttpAnswer::Of(200, "");
  });
  const CountingFile file(5'000'000);
  ASSERT_TRUE(Client()
                  ->Do({.method = "PUT",
                        .url = server.url() + "/o",
                        .file = {.file = &file, .offset = 1000, .bytes = 3'000'000}})
                  .ok());
  ASSERT_EQ(body.size(), 3'000'000u);
  for (std::size_t i = 0; i < body.size(); ++i) {
    ASSERT_EQ(static_cast<std::uint8_t>(body[i]), CountingFile::ByteAt(1000 + i)) << i;
  }
}

TEST(HttpClient, SaysThatAFileEndedEarly) {
  const HttpServer server([](const HttpRequest&) { return HttpAnswer::Of(200, ""); });
  const CountingFile file(10);
  const auto answer = Client()->Do({.method = "PUT",
                                    .url = server.url() + "/o",
                                    .file = {.file = &file, .offset = 5, .bytes = 6}});
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code, ErrorCode::kCorrupt);
}

TEST(HttpClient, PoursTheBodyOfAGoodAnswerIntoTheSinkAndKeepsThatOfABadOne) {
  std::atomic<int> status{200};
  const HttpServer server(
      [&](const HttpRequest&) { return HttpAnswer::Of(status.load(), "payload"); });
  const auto client = Client();
  TextSink sink;
  auto answer = client->Do({.url = server.url() + "/", .sink = &sink});
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->body, "");
  EXPECT_EQ(sink.text, "payload");
  status.store(503);
  answer = client->Do({.url = server.url() + "/", .sink = &sink});
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->body, "payload");
  EXPECT_EQ(sink.text, "payload");  // As it was.
}

TEST(HttpClient, EndsTheCallWhereTheSinkIsFull) {
  const HttpServer server([](const HttpRequest&) { return HttpAnswer::Of(200, "payload"); });
  FullSink sink;
  const auto answer = Client()->Do({.url = server.url() + "/o?secret", .sink = &sink});
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code, ErrorCode::kExhausted);
  EXPECT_EQ(answer.error().message.find("secret"), std::string::npos);
}

TEST(HttpClient, RefusesAnAnswerThatIsTooLong) {
  const HttpServer server(
      [](const HttpRequest&) { return HttpAnswer::Of(200, std::string(1001, 'x')); });
  const auto client = Client();
  EXPECT_FALSE(client->Do({.url = server.url() + "/", .answer_bytes_max = 1000}).ok());
  EXPECT_TRUE(client->Do({.url = server.url() + "/", .answer_bytes_max = 1001}).ok());
}

TEST(HttpClient, KeepsTheConnectionUnlessACallWantsItsOwn) {
  std::vector<int> connections;
  const HttpServer server([&](const HttpRequest& request) {
    connections.push_back(request.connection);
    return HttpAnswer::Of(200, "");
  });
  const auto client = Client();
  const Request kept{.url = server.url() + "/"};
  const Request own{.url = server.url() + "/", .own_connection = true};
  for (const Request& request : {kept, kept, own, own, kept}) {
    ASSERT_TRUE(client->Do(request).ok());
  }
  EXPECT_EQ(connections, (std::vector<int>{0, 0, 1, 2, 0}));
}

TEST(HttpClient, BeginsAnewOnAConnectionThatTheServerClosed) {
  std::vector<std::string> bodies;
  const HttpServer server([&](const HttpRequest& request) {
    bodies.push_back(request.body);
    HttpAnswer answer = HttpAnswer::Of(200, "");
    answer.closes = true;  // Without saying so.
    return answer;
  });
  const auto client = Client();
  const CountingFile file(100'000);
  const Request put{.method = "PUT",
                    .url = server.url() + "/",
                    .file = {.file = &file, .offset = 0, .bytes = 100'000}};
  ASSERT_TRUE(client->Do(put).ok());
  ASSERT_TRUE(client->Do(put).ok());
  ASSERT_EQ(bodies.size(), 2u);
  EXPECT_EQ(bodies[0], bodies[1]);
}

TEST(HttpClient, SaysThatThereWasNoAnswer) {
  const HttpServer server([](const HttpRequest&) { return HttpAnswer::Nothing(); });
  const auto answer =
      Client()->Do({.method = "POST", .url = server.url() + "/", .own_connection = true});
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code, ErrorCode::kUnavailable);
}

TEST(HttpClient, SaysThatAnAnswerBrokeOff) {
  const HttpServer server([](const HttpRequest&) {
    return HttpAnswer{.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
                      .closes = true};
  });
  TextSink sink;
  const auto answer = Client()->Do({.url = server.url() + "/", .sink = &sink});
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code, ErrorCode::kUnavailable);
}

// Lets nobody pass until it is opened.
class Gate {
 public:
  void Wait() {
    std::unique_lock lock(mutex_);
    ++waiting_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return is_open_; });
  }
  void WaitForSomebody() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return waiting_ > 0; });
  }
  void Open() {
    const std::lock_guard lock(mutex_);
    is_open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int waiting_ = 0;
  bool is_open_ = false;
};

TEST(HttpClient, GivesUpAfterItsTime) {
  Gate gate;
  const HttpServer server([&](const HttpRequest&) {
    gate.Wait();
    return HttpAnswer::Of(200, "");
  });
  const auto answer =
      Client()->Do({.url = server.url() + "/", .timeout = std::chrono::milliseconds(50)});
  gate.Open();
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code, ErrorCode::kUnavailable);
}

TEST(HttpClient, StopsWhatIsUnderWay) {
  Gate gate;
  const HttpServer server([&](const HttpRequest&) {
    gate.Wait();
    return HttpAnswer::Of(200, "");
  });
  const auto client = Client();
  base::Result<Answer> answer = Answer{};
  std::thread caller([&] { answer = client->Do({.url = server.url() + "/"}); });
  gate.WaitForSomebody();
  client->Stop();
  caller.join();
  gate.Open();
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code, ErrorCode::kUnavailable);
  EXPECT_FALSE(client->Do({.url = server.url() + "/"}).ok());
}

TEST(HttpClient, MayBeUsedFromSeveralThreads) {
  const HttpServer server(
      [](const HttpRequest& request) { return HttpAnswer::Of(200, request.body); });
  const auto client = Client();
  std::atomic<int> right{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        const std::string body = base::StrCat(t, "/", i);
        const auto answer =
            client->Do({.method = "POST", .url = server.url() + "/", .body = AsBytes(body)});
        if (answer.ok() && answer->body == body) right.fetch_add(1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right.load(), 4 * 50);
  EXPECT_LE(server.connections(), 4);
}

TEST(HttpClient, TrustsTheCaItWasGivenAndNoOther) {
  const auto made = openssl::MakeSelfSignedCertificate({"127.0.0.1"}, base::SystemClock().Now(), 2);
  ASSERT_TRUE(made.ok());
  const HttpServer server([](const HttpRequest&) { return HttpAnswer::Of(200, "secure"); },
                          {.certificate_pem = made->certificate_pem, .key_pem = made->key_pem});
  const std::string ca_file = testing::TempDir() + "ca_" + base::RandomHex(6) + ".pem";
  ASSERT_TRUE(
      base::WriteFileDurably(base::SystemFileSystem(), ca_file, AsBytes(made->certificate_pem))
          .ok());
  const auto trusting = Client({.ca_file = ca_file})->Do({.url = server.url() + "/"});
  std::filesystem::remove(ca_file);
  ASSERT_TRUE(trusting.ok()) << trusting.error().message;
  EXPECT_EQ(trusting->body, "secure");
  const auto other = Client()->Do({.url = server.url() + "/"});
  ASSERT_FALSE(other.ok());
  EXPECT_EQ(other.error().code, ErrorCode::kPermissionDenied);
}

TEST(HttpClient, RefusesWhatCannotStandInARequest) {
  const auto client = Client();
  for (const Request& request :
       {Request{.url = "ftp://127.0.0.1/"}, Request{.url = "http://127.0.0.1/a b"},
        Request{.url = "http://127.0.0.1/\r\nX: y"},
        Request{.url = "http://127.0.0.1/", .headers = {{"X", "a\r\nY: b"}}},
        Request{.url = "http://127.0.0.1/", .headers = {{"X: y\r\nZ", "a"}}},
        Request{.url = "http://127.0.0.1/", .headers = {{"", "a"}}}}) {
    const auto answer = client->Do(request);
    ASSERT_FALSE(answer.ok()) << request.url;
    EXPECT_EQ(answer.error().code, ErrorCode::kInvalidArgument) << request.url;
  }
}

TEST(HttpClient, RefusesToKeepConnectionsForLessThanASecond) {
  // libcurl counts their age in whole seconds; 0 would mean for ever.
  EXPECT_FALSE(MakeHttpClient({.idle_max = std::chrono::milliseconds(900)}).ok());
}

TEST(PercentEncode, LeavesUnreservedCharactersAlone) {
  EXPECT_EQ(PercentEncode("AZaz09-._~"), "AZaz09-._~");
  EXPECT_EQ(PercentEncode("a/b c+d=e"), "a%2Fb%20c%2Bd%3De");
  EXPECT_EQ(PercentEncode("a/b", /*keeps_slashes=*/true), "a/b");
  EXPECT_EQ(PercentEncode("\xc3\xa4"), "%C3%A4");
}

}  // namespace
}  // namespace tinysphere::outbound
