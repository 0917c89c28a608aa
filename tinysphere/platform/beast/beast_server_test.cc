// The server over real sockets on loopback, asked by a client that writes bytes by hand.

#include "tinysphere/platform/beast/beast_server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <thread>

#include "base/crypto.h"
#include "base/text.h"
#include "tinysphere/platform/openssl/certificate.h"

namespace tinysphere::beast {
namespace {

using base::Error;
using base::ErrorCode;
using http::Access;
using http::BodyRule;
using http::Method;
using http::Request;
using http::Response;

// One connection; gives up after 20 s without a byte.
class Client {
 public:
  explicit Client(std::uint16_t port, bool is_secure = false, int tls_version = 0) {
    fd_ = socket(AF_INET, SOCK_STREAM, 0);
    const timeval patience{.tv_sec = 20, .tv_usec = 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    is_open_ = connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    if (!is_open_ || !is_secure) return;
    context_ = SSL_CTX_new(TLS_client_method());
    if (tls_version != 0) {
      SSL_CTX_set_security_level(context_, 0);  // So that it would speak an old one.
      SSL_CTX_set_min_proto_version(context_, tls_version);
      SSL_CTX_set_max_proto_version(context_, tls_version);
    }
    ssl_ = SSL_new(context_);
    SSL_set_fd(ssl_, fd_);
    is_open_ = SSL_connect(ssl_) == 1;
  }
  ~Client() {
    SSL_free(ssl_);
    SSL_CTX_free(context_);
    close(fd_);
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  bool is_open() const { return is_open_; }
  SSL* ssl() { return ssl_; }

  bool Send(std::string_view text) {
    while (!text.empty()) {
      const auto sent = ssl_ ? SSL_write(ssl_, text.data(), static_cast<int>(text.size()))
                             : send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  // More bytes into `received_`; false at the end.
  bool Receive() {
    char block[65536];
    const auto got = ssl_ ? SSL_read(ssl_, block, sizeof block) : recv(fd_, block, sizeof block, 0);
    if (got <= 0) return false;
    received_.append(block, static_cast<std::size_t>(got));
    return true;
  }
  std::string ReadUntil(std::string_view end) {
    while (received_.find(end) == std::string::npos) {
      if (!Receive()) return std::exchange(received_, {});
    }
    const std::size_t size = received_.find(end) + end.size();
    std::string text = received_.substr(0, size);
    received_.erase(0, size);
    return text;
  }
  // One answer with a Content-Length: its header and, after it, its body.
  std::string ReadAnswer(bool has_body = true) {
    std::string header = ReadUntil("\r\n\r\n");
    const std::size_t at = header.find("Content-Length: ");
    if (at == std::string::npos || !has_body) return header;
    const std::size_t size = std::stoul(header.substr(at + 16));
    while (received_.size() < size && Receive()) {
    }
    header += received_.substr(0, size);
    received_.erase(0, std::min(size, received_.size()));
    return header;
  }
  // Whether the other side hung up, waiting so long for it at most.
  bool IsClosedWithin(std::chrono::milliseconds wait) {
    pollfd polled{.fd = fd_, .events = POLLIN, .revents = 0};
    if (poll(&polled, 1, static_cast<int>(wait.count())) <= 0) return false;
    return !Receive();
  }
  std::string ReadToEnd() {
    while (Receive()) {
    }
    return std::exchange(received_, {});
  }

 private:
  int fd_ = -1;
  bool is_open_ = false;
  SSL_CTX* context_ = nullptr;
  SSL* ssl_ = nullptr;
  std::string received_;
};

class SecretAuthenticator final : public http::Authenticator {
 public:
  base::Result<http::Identity> Authenticate(const Request& request, Access) override {
    if (request.headers.Get("Secret") != "open sesame") {
      return Error{ErrorCode::kPermissionDenied, "nobody we know"};
    }
    http::Identity identity;
    identity.kind = http::Identity::Kind::kDevice;
    identity.id = "d-1";
    return identity;
  }
};

class BeastServerTest : public testing::Test {
 protected:
  BeastServerTest() : folder_(testing::TempDir() + "beast_" + base::RandomHex(6)) {
    std::filesystem::create_directories(folder_);
    options_.spool_folder = folder_ + "/spool";
    Add(Method::kGet, "/hello", BodyRule::None(), [](Request& request) {
      return Response::Text(
          200, "text/plain",
          base::StrCat("hello ", request.Query("name"), request.peer.is_secure ? " over tls" : ""));
    });
    Add(Method::kPost, "/echo", BodyRule::Memory(1000),
        [](Request& request) { return Response::Text(200, "text/plain", request.body.text()); });
    Add(
        Method::kPut, "/spool", BodyRule::Spool(64 << 20),
        [](Request& request) {
          const auto size = std::filesystem::file_size(request.body.path());
          return Response::Text(200, "text/plain",
                                base::StrCat(size, " ", base::HexEncode(request.body.sha256())));
        },
        Access::kDevice);
    Add(Method::kPut, "/held", BodyRule::Spool(1 << 20, 200'000), [](Request& request) {
      const std::string what = request.body.is_spooled()
                                   ? "spooled "
                                   : "held " + base::Sha256Hex(request.body.view()) + " ";
      return Response::Text(200, "text/plain",
                            base::StrCat(what, base::HexEncode(request.body.sha256())));
    });
    Add(Method::kGet, "/events", BodyRule::None(),
        [this](Request&) { return Response::Events(events_.Subscribe()); });
    Add(Method::kGet, "/file", BodyRule::None(), [this](Request& request) {
      std::shared_ptr<const base::ReadableFile> file =
          base::SystemFileSystem().Open(folder_ + "/file").value();
      return Response::File(request, file, "application/zstd", "v1", true);
    });
    Add(Method::kGet, "/slow", BodyRule::None(), [this](Request&) {
      std::unique_lock lock(mutex_);
      is_slow_running_ = true;
      changed_.notify_all();
      changed_.wait(lock, [&] { return may_go_on_; });
      return Response::Text(200, "text/plain", "done");
    });
  }
  ~BeastServerTest() override {
    server_.reset();
    std::filesystem::remove_all(folder_);
  }

  template <typename F>
  void Add(Method method, const std::string& path, BodyRule body, F handler,
           Access access = Access::kOpen) {
    router_.Add({.method = method,
                 .path = path,
                 .access = access,
                 .body = body,
                 .handler = [handler](Request& request) -> base::Result<Response> {
                   return handler(request);
                 }});
  }
  void Start() {
    auto started =
        StartServer(options_, router_, events_, base::SystemFileSystem(), base::NullLogger());
    ASSERT_TRUE(started.ok()) << started.error().message;
    server_ = std::move(started).value();
  }
  void UseTls() {
    const auto made = openssl::MakeSelfSignedCertificate({"localhost", "127.0.0.1", "::1"},
                                                         base::SystemClock().Now(), 30);
    ASSERT_TRUE(made.ok()) << made.error().message;
    certificate_ = made->certificate_pem;
    options_.tls_certificate_path = folder_ + "/tls.crt";
    options_.tls_key_path = folder_ + "/tls.key";
    auto& fs = base::SystemFileSystem();
    ASSERT_TRUE(base::WriteFileDurably(fs, options_.tls_certificate_path,
                                       base::AsBytes(made->certificate_pem))
                    .ok());
    ASSERT_TRUE(
        base::WriteFileDurably(fs, options_.tls_key_path, base::AsBytes(made->key_pem), true).ok());
  }
  std::string Ask(const std::string& text) {
    Client client(server_->port());
    EXPECT_TRUE(client.Send(text));
    return client.ReadAnswer();
  }
  std::size_t SpooledFiles() {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(options_.spool_folder)) {
      (void)entry;
      ++count;
    }
    return count;
  }

  std::string folder_;
  http::ServerOptions options_;
  http::EventHub events_;
  SecretAuthenticator authenticator_;
  http::Router router_{authenticator_};
  std::string certificate_;
  std::unique_ptr<http::Server> server_;

  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_slow_running_ = false;
  bool may_go_on_ = false;
};

bool Has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST_F(BeastServerTest, AnswersSeveralRequestsOnOneConnection) {
  Start();
  EXPECT_NE(server_->port(), 0);
  Client client(server_->port());
  for (const char* name : {"ann", "bob"}) {
    ASSERT_TRUE(
        client.Send(base::StrCat("GET /hello?name=", name, " HTTP/1.1\r\nHost: x\r\n\r\n")));
    const std::string answer = client.ReadAnswer();
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n")) << answer;
    EXPECT_TRUE(answer.ends_with(base::StrCat("hello ", name))) << answer;
    EXPECT_TRUE(Has(answer, "X-Content-Type-Options: nosniff")) << answer;
  }
}

TEST_F(BeastServerTest, AnswersPipelinedRequestsInOrder) {
  Start();
  Client client(server_->port());
  ASSERT_TRUE(
      client.Send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\none"
                  "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\ntwo"));
  EXPECT_TRUE(client.ReadAnswer().ends_with("one"));
  EXPECT_TRUE(client.ReadAnswer().ends_with("two"));
}

TEST_F(BeastServerTest, SpoolsALargeBodyWhileItHashes) {
  Start();
  const std::string body(5'000'000, 'x');
  const std::string answer = Ask(base::StrCat(
      "PUT /spool HTTP/1.1\r\nHost: x\r\nSecret: open sesame\r\nContent-Length: ", body.size(),
      "\r\n\r\n", body));
  EXPECT_TRUE(answer.ends_with("5000000 " + base::Sha256Hex(base::AsBytes(body)))) << answer;
  EXPECT_EQ(SpooledFiles(), 0u);
}

TEST_F(BeastServerTest, SpoolsAChunkedBody) {
  Start();
  const std::string answer =
      Ask("PUT /spool HTTP/1.1\r\nHost: x\r\nSecret: open sesame\r\nTransfer-Encoding: chunked\r\n"
          "\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n");
  EXPECT_TRUE(answer.ends_with("11 " + base::Sha256Hex(base::AsBytes("hello world")))) << answer;
}

TEST_F(BeastServerTest, SpoolsABodyWithoutBytes) {
  Start();
  const std::string answer =
      Ask("PUT /spool HTTP/1.1\r\nHost: x\r\nSecret: open sesame\r\nTransfer-Encoding: chunked\r\n"
          "\r\n0\r\n\r\n");
  EXPECT_TRUE(answer.ends_with("0 " + base::Sha256Hex({}))) << answer;
}

TEST_F(BeastServerTest, AsksForTheBodyOnlyOfThoseItKnows) {
  Start();
  const std::string head = "PUT /spool HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n";
  Client known(server_->port());
  ASSERT_TRUE(known.Send(head + "Secret: open sesame\r\nContent-Length: 2\r\n\r\n"));
  EXPECT_TRUE(known.ReadUntil("\r\n\r\n").starts_with("HTTP/1.1 100 "));
  ASSERT_TRUE(known.Send("hi"));
  EXPECT_TRUE(known.ReadAnswer().starts_with("HTTP/1.1 200 "));
  Client unknown(server_->port());
  ASSERT_TRUE(unknown.Send(head + "Content-Length: 2\r\n\r\n"));
  EXPECT_TRUE(unknown.ReadAnswer().starts_with("HTTP/1.1 401 "));
}

TEST_F(BeastServerTest, KeepsTheConnectionWhenASmallRequestIsRefused) {
  Start();
  Client client(server_->port());
  ASSERT_TRUE(client.Send("PUT /spool HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"));
  EXPECT_TRUE(client.ReadAnswer().starts_with("HTTP/1.1 401 "));
  ASSERT_TRUE(client.Send(
      "PUT /spool HTTP/1.1\r\nHost: x\r\nSecret: open sesame\r\nContent-Length: 2\r\n\r\nhi"));
  EXPECT_TRUE(client.ReadAnswer().starts_with("HTTP/1.1 200 "));
}

TEST_F(BeastServerTest, LetsAPeerThatSendsTooMuchReadTheAnswer) {
  Start();
  const std::string answer =
      Ask("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n" +
          std::string(2'000'000, 'x'));
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 413 ")) << answer;
}

TEST_F(BeastServerTest, StopsAChunkedBodyAtTheLimit) {
  Start();
  const std::string answer =
      Ask("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" +
          std::string(2000, 'x') + "\r\n0\r\n\r\n");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 413 ")) << answer;
}

TEST_F(BeastServerTest, RefusesTwoWaysToTellTheLength) {
  Start();
  for (const char* fields : {"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                             "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
                             "Content-Length: 5\r\nContent-Length: 6\r\n"}) {
    const std::string answer =
        Ask(base::StrCat("POST /echo HTTP/1.1\r\nHost: x\r\n", fields, "\r\n0\r\n\r\n"));
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 400 ")) << fields << answer;
  }
}

TEST_F(BeastServerTest, RefusesRubbishAndEndlessHeaders) {
  Start();
  EXPECT_TRUE(Ask("rubbish\r\n\r\n").starts_with("HTTP/1.1 400 "));
  EXPECT_TRUE(Ask("GET /../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n").starts_with("HTTP/1.1 400 "));
  const std::string answer =
      Ask("GET /hello HTTP/1.1\r\nHost: x\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 431 ")) << answer;
}

TEST_F(BeastServerTest, ShedsUploadsBeyondItsCap) {
  options_.bytes_in_flight_max = 999;
  Start();
  const std::string answer = Ask("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n" +
                                 std::string(1000, 'x'));
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 503 ")) << answer;
  EXPECT_TRUE(Has(answer, "Retry-After: ")) << answer;
  EXPECT_TRUE(
      Ask("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n\r\n" + std::string(999, 'x'))
          .starts_with("HTTP/1.1 200 "));
}

TEST_F(BeastServerTest, LeavesNothingOfAnUploadThatBrokeOff) {
  Start();
  {
    Client client(server_->port());
    ASSERT_TRUE(client.Send(
        "PUT /spool HTTP/1.1\r\nHost: x\r\nSecret: open sesame\r\nContent-Length: 900000\r\n\r\n" +
        std::string(600'000, 'x')));
  }
  server_->Stop();  // Waits for the connection to notice.
  EXPECT_EQ(SpooledFiles(), 0u);
}

TEST_F(BeastServerTest, HangsUpOnWhoSendsNothing) {
  options_.header_timeout = std::chrono::milliseconds(50);
  options_.body_timeout = std::chrono::milliseconds(50);
  Start();
  Client header(server_->port());
  ASSERT_TRUE(header.Send("GET /hello HTT"));
  EXPECT_EQ(header.ReadToEnd(), "");
  Client body(server_->port());
  ASSERT_TRUE(body.Send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab"));
  EXPECT_EQ(body.ReadToEnd(), "");
}

TEST_F(BeastServerTest, CountsTowardsItsCapWhatCameAndNotWhatWasAnnounced) {
  options_.bytes_in_flight_max = 2000;
  Start();
  Client slow(server_->port());
  ASSERT_TRUE(slow.Send(
      "PUT /spool HTTP/1.1\r\nHost: x\r\nSecret: open sesame\r\nContent-Length: 900000\r\n\r\n"
      "a few bytes"));
  EXPECT_TRUE(
      Ask("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n\r\n" + std::string(999, 'x'))
          .starts_with("HTTP/1.1 200 "));
}

TEST_F(BeastServerTest, HangsUpOnWhoSendsAByteNowAndThen) {
  options_.body_timeout = std::chrono::milliseconds(100);
  options_.body_bytes_per_second_min = 1'000'000;
  Start();
  Client client(server_->port());
  ASSERT_TRUE(client.Send("PUT /held HTTP/1.1\r\nHost: x\r\nContent-Length: 150000\r\n\r\n"));
  // Each byte comes well before body_timeout is over, all of them would take minutes.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  bool is_open = true;
  while (is_open && std::chrono::steady_clock::now() < deadline) {
    is_open = client.Send("x") && !client.IsClosedWithin(std::chrono::milliseconds(5));
  }
  EXPECT_FALSE(is_open);
}

TEST_F(BeastServerTest, HoldsASmallBodyInMemoryAndSpoolsALargerOne) {
  Start();
  const auto put = [&](std::size_t bytes) {
    return Ask(
        base::StrCat("PUT /held HTTP/1.1\r\nHost: x\r\nContent-Length: ", bytes, "\r\n\r\n") +
        std::string(bytes, 'h'));
  };
  const auto digest = [](std::size_t bytes) {
    return base::Sha256Hex(base::AsBytes(std::string(bytes, 'h')));
  };
  EXPECT_TRUE(Has(put(200'000), base::StrCat("held ", digest(200'000), " ", digest(200'000))));
  EXPECT_TRUE(Has(put(200'001), base::StrCat("spooled ", digest(200'001))));
  EXPECT_EQ(SpooledFiles(), 0u);
}

TEST_F(BeastServerTest, SendsFilesAndTheirRanges) {
  std::string content;
  for (int i = 0; content.size() < 1'000'000; ++i) content += std::to_string(i) + " ";
  ASSERT_TRUE(
      base::WriteFileDurably(base::SystemFileSystem(), folder_ + "/file", base::AsBytes(content))
          .ok());
  Start();
  const std::string whole = Ask("GET /file HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(whole.ends_with("\r\n\r\n" + content));
  const std::string part =
      Ask("GET /file HTTP/1.1\r\nHost: x\r\nRange: bytes=500000-500009\r\n\r\n");
  EXPECT_TRUE(part.starts_with("HTTP/1.1 206 ")) << part;
  EXPECT_TRUE(part.ends_with("\r\n\r\n" + content.substr(500'000, 10))) << part;
  const std::string unchanged =
      Ask("GET /file HTTP/1.1\r\nHost: x\r\nIf-None-Match: \"v1\"\r\n\r\n");
  EXPECT_TRUE(unchanged.starts_with("HTTP/1.1 304 ")) << unchanged;
  Client client(server_->port());
  ASSERT_TRUE(
      client.Send("HEAD /file HTTP/1.1\r\nHost: x\r\n\r\n"
                  "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"));
  EXPECT_TRUE(Has(client.ReadAnswer(false), base::StrCat("Content-Length: ", content.size())));
  EXPECT_TRUE(client.ReadAnswer().ends_with("hello "));
}

TEST_F(BeastServerTest, TellsEventsAsTheyComeAndLivesOnBetween) {
  options_.heartbeat = std::chrono::milliseconds(20);
  Start();
  Client client(server_->port());
  ASSERT_TRUE(client.Send("GET /events HTTP/1.1\r\nHost: x\r\n\r\n"));
  EXPECT_TRUE(Has(client.ReadUntil("\r\n\r\n"), "Content-Type: text/event-stream"));
  client.ReadUntil(": connected\n\n");
  events_.Publish("device", base::Json::MakeObject({{"id", "d-1"}}));
  EXPECT_TRUE(Has(client.ReadUntil("}\n\n"), "event: device\ndata: {\"id\":\"d-1\"}"));
  EXPECT_TRUE(Has(client.ReadUntil(": alive\n\n"), ": alive\n\n"));
  events_.Publish("rollout", base::Json::MakeObject({{"id", "r-1"}}));
  EXPECT_TRUE(Has(client.ReadUntil("}\n\n"), "event: rollout"));
  server_->Stop();
  EXPECT_TRUE(client.ReadToEnd().ends_with("0\r\n\r\n"));
}

TEST_F(BeastServerTest, FinishesWhatIsUnderWayWhenStopped) {
  Start();
  const std::uint16_t port = server_->port();
  Client slow(port);
  Client idle(port);
  ASSERT_TRUE(slow.Send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"));
  {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(
        changed_.wait_for(lock, std::chrono::seconds(20), [&] { return is_slow_running_; }));
  }
  std::thread stopper([&] { server_->Stop(); });
  EXPECT_EQ(idle.ReadToEnd(), "");
  {
    const std::lock_guard lock(mutex_);
    may_go_on_ = true;
  }
  changed_.notify_all();
  EXPECT_TRUE(slow.ReadAnswer().ends_with("done"));
  stopper.join();
  EXPECT_FALSE(Client(port).is_open());
}

TEST_F(BeastServerTest, SaysWhenThePortIsTaken) {
  Start();
  options_.port = server_->port();
  const auto second =
      StartServer(options_, router_, events_, base::SystemFileSystem(), base::NullLogger());
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::kUnavailable);
}

TEST_F(BeastServerTest, SpeaksTlsWithACertificateThatCanBePinned) {
  UseTls();
  Start();
  EXPECT_TRUE(server_->is_secure());
  Client client(server_->port(), true);
  ASSERT_TRUE(client.is_open());
  ASSERT_TRUE(client.Send("GET /hello?name=ann HTTP/1.1\r\nHost: x\r\n\r\n"));
  EXPECT_TRUE(client.ReadAnswer().ends_with("hello ann over tls"));

  X509* const peer = SSL_get1_peer_certificate(client.ssl());
  unsigned char* der = nullptr;
  const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(peer), &der);
  const std::string seen =
      base::Base64UrlEncode(base::Sha256Of(base::ByteView(der, static_cast<std::size_t>(size))));
  EXPECT_EQ(openssl::SpkiPin(certificate_).value(), seen);
  EXPECT_EQ(X509_check_ip_asc(peer, "127.0.0.1", 0), 1);
  EXPECT_EQ(X509_check_host(peer, "localhost", 0, 0, nullptr), 1);
  EXPECT_EQ(X509_check_host(peer, "elsewhere", 0, 0, nullptr), 0);
  OPENSSL_free(der);
  X509_free(peer);
}

TEST_F(BeastServerTest, TakesLargeUploadsOverTls) {
  UseTls();
  Start();
  Client client(server_->port(), true);
  const std::string body(3'000'000, 'y');
  ASSERT_TRUE(client.Send(base::StrCat(
      "PUT /spool HTTP/1.1\r\nHost: x\r\nSecret: open sesame\r\nContent-Length: ", body.size(),
      "\r\n\r\n", body)));
  EXPECT_TRUE(client.ReadAnswer().ends_with("3000000 " + base::Sha256Hex(base::AsBytes(body))));
}

TEST_F(BeastServerTest, SpeaksNoTlsOlderThanOnePointTwo) {
  UseTls();
  Start();
  EXPECT_FALSE(Client(server_->port(), true, TLS1_1_VERSION).is_open());
  EXPECT_TRUE(Client(server_->port(), true, TLS1_2_VERSION).is_open());
  EXPECT_TRUE(Client(server_->port(), true, TLS1_3_VERSION).is_open());
}

TEST_F(BeastServerTest, RefusesToStartWithABadCertificate) {
  UseTls();
  ASSERT_TRUE(base::WriteFileDurably(base::SystemFileSystem(), options_.tls_certificate_path,
                                     base::AsBytes("rubbish"))
                  .ok());
  const auto started =
      StartServer(options_, router_, events_, base::SystemFileSystem(), base::NullLogger());
  ASSERT_FALSE(started.ok());
  EXPECT_EQ(started.error().code, ErrorCode::kInvalidArgument);
}

TEST_F(BeastServerTest, ServesManyAtOnce) {
  Start();
  std::vector<std::thread> clients;
  std::atomic<int> right = 0;
  for (int i = 0; i < 16; ++i) {
    clients.emplace_back([&, i] {
      const std::string body(100'000 + static_cast<std::size_t>(i), 'x');
      Client client(server_->port());
      for (int j = 0; j < 5; ++j) {
        client.Send(base::StrCat(
            "PUT /spool HTTP/1.1\r\nHost: x\r\nSecret: open sesame\r\nContent-Length: ",
            body.size(), "\r\n\r\n", body));
        if (client.ReadAnswer().ends_with(base::Sha256Hex(base::AsBytes(body)))) ++right;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(right, 80);
}

TEST(Certificate, NeedsANameThatIsOne) {
  const base::Time now = base::SystemClock().Now();
  EXPECT_FALSE(openssl::MakeSelfSignedCertificate({}, now, 30).ok());
  EXPECT_FALSE(openssl::MakeSelfSignedCertificate({"a,DNS:evil"}, now, 30).ok());
  EXPECT_FALSE(openssl::SpkiPin("rubbish").ok());
}

}  // namespace
}  // namespace tinysphere::beast
