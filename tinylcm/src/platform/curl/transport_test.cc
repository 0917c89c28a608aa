// The curl transport against a server of a few lines on this machine, with and without TLS.

#include "tinylcm/sync/transport.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <functional>
#include <thread>

#include "base/crypto.h"
#include "base/text.h"

namespace tinylcm::sync {
namespace {

using base::ErrorCode;
using base::StrCat;

// Answers one request a connection with what `handle` makes of it.
class TinyServer {
 public:
  // A client that hangs up is an error here, not the end of the tests; as in the programs.
  static inline const bool ignores_broken_pipes = std::signal(SIGPIPE, SIG_IGN) != SIG_ERR;

  using Handle = std::function<std::string(const std::string& request)>;

  TinyServer(bool tls, Handle handle) : handle_(std::move(handle)) {
    if (tls) MakeTls();
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    CHECK(::listen(listener_, 16) == 0);
    socklen_t size = sizeof address;
    CHECK(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    url_ = StrCat(tls ? "https" : "http", "://127.0.0.1:", ntohs(address.sin_port));
    thread_ = std::thread([this] { Run(); });
  }
  ~TinyServer() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
    SSL_CTX_free(context_);
  }

  const std::string& url() const { return url_; }
  const std::string& pin() const { return pin_; }

 private:
  void MakeTls() {
    EVP_PKEY* key = EVP_EC_gen("P-256");
    X509* certificate = X509_new();
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    CHECK(X509_sign(certificate, key, EVP_sha256()) > 0);
    unsigned char* der = nullptr;
    const int length = i2d_PUBKEY(key, &der);
    CHECK(length > 0);
    pin_ = base::Base64UrlEncode(base::Sha256Of({der, static_cast<std::size_t>(length)}));
    OPENSSL_free(der);
    context_ = SSL_CTX_new(TLS_server_method());
    CHECK(SSL_CTX_use_certificate(context_, certificate) == 1);
    CHECK(SSL_CTX_use_PrivateKey(context_, key) == 1);
    X509_free(certificate);
    EVP_PKEY_free(key);
  }

  void Run() {
    while (true) {
      const int fd = ::accept(listener_, nullptr, nullptr);
      if (fd < 0) return;
      Serve(fd);
      ::close(fd);
    }
  }

  void Serve(int fd) {
    SSL* ssl = nullptr;
    if (context_ != nullptr) {
      ssl = SSL_new(context_);
      SSL_set_fd(ssl, fd);
      if (SSL_accept(ssl) != 1) {
        SSL_free(ssl);
        return;
      }
    }
    std::string request;
    std::size_t wanted = std::string::npos;
    std::array<char, 4096> buffer;
    while (request.size() < wanted) {
      const long got = ssl != nullptr ? SSL_read(ssl, buffer.data(), buffer.size())
                                      : ::recv(fd, buffer.data(), buffer.size(), 0);
      if (got <= 0) break;
      request.append(buffer.data(), static_cast<std::size_t>(got));
      const std::size_t end = request.find("\r\n\r\n");
      if (end == std::string::npos) continue;
      wanted = end + 4;
      const std::size_t length = request.find("Content-Length: ");
      if (length < end) wanted += std::stoul(request.substr(length + 16));
    }
    const std::string answer = handle_(request);
    if (ssl != nullptr) {
      SSL_write(ssl, answer.data(), static_cast<int>(answer.size()));
      SSL_shutdown(ssl);
      SSL_free(ssl);
    } else {
      static_cast<void>(::send(fd, answer.data(), answer.size(), MSG_NOSIGNAL));
    }
  }

  Handle handle_;
  SSL_CTX* context_ = nullptr;
  int listener_ = -1;
  std::string url_;
  std::string pin_;
  std::thread thread_;
};

std::string Answer(const std::string& body, const std::string& head = "HTTP/1.1 200 OK") {
  return StrCat(head, "\r\nContent-Length: ", body.size(), "\r\nConnection: close\r\n\r\n", body);
}

HttpRequest Get(const std::string& path = "/") {
  HttpRequest request;
  request.method = "GET";
  request.path = path;
  request.timeout = std::chrono::seconds(20);
  return request;
}

TEST(CurlTransport, TalksToTheServerWhoseKeyIsPinned) {
  TinyServer server(true, [](const std::string&) { return Answer("hello"); });
  const auto transport =
      MakeCurlTransport({.server = server.url(), .tls_pin = server.pin(), .ca_file = {}}).value();
  for (int i = 0; i < 3; ++i) {
    const auto answer = transport->Do(Get());
    ASSERT_TRUE(answer.ok()) << answer.error().message;
    EXPECT_EQ(answer->status, 200);
    EXPECT_EQ(answer->body, "hello");
  }
}

TEST(CurlTransport, SaysNothingToAServerWithAnotherKey) {
  bool heard = false;
  TinyServer server(true, [&](const std::string& request) {
    heard = heard || !request.empty();
    return Answer("");
  });
  const std::string other = base::Base64UrlEncode(base::RandomBytes(32));
  const auto pinned =
      MakeCurlTransport({.server = server.url(), .tls_pin = other, .ca_file = {}}).value();
  EXPECT_EQ(pinned->Do(Get()).error().code, ErrorCode::kPermissionDenied);
  // Without a pin a certificate that nobody we know has signed is none.
  const auto unpinned =
      MakeCurlTransport({.server = server.url(), .tls_pin = {}, .ca_file = {}}).value();
  EXPECT_EQ(unpinned->Do(Get()).error().code, ErrorCode::kUnavailable);
  EXPECT_FALSE(heard);
}

TEST(CurlTransport, SendsExactlyWhatWasSigned) {
  std::string seen;
  TinyServer server(false, [&](const std::string& request) {
    seen = request;
    return Answer("");
  });
  const auto transport =
      MakeCurlTransport({.server = server.url(), .tls_pin = {}, .ca_file = {}}).value();
  const base::Bytes content(100'000, 'x');
  const MemoryBody body(content);
  HttpRequest request = Get("/a/../b");
  request.method = "PATCH";
  request.query = "q=1";
  request.headers = {{"upload-offset", "7"}, {"tlcm-nonce", ""}};
  request.body = &body;
  ASSERT_TRUE(transport->Do(request).ok());
  EXPECT_TRUE(seen.starts_with("PATCH /a/../b?q=1 HTTP/1.1\r\n")) << seen.substr(0, 200);
  EXPECT_NE(seen.find("\r\nupload-offset: 7\r\n"), std::string::npos);
  EXPECT_NE(seen.find("\r\ntlcm-nonce:\r\n"), std::string::npos);
  EXPECT_EQ(seen.find("Expect:"), std::string::npos);
  EXPECT_TRUE(seen.ends_with(std::string(100'000, 'x')));
}

TEST(CurlTransport, GivesHeadersInLowerCaseAndFollowsNoRedirect) {
  TinyServer server(false, [](const std::string&) {
    return Answer("", "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nTLCM-Nonce: n1");
  });
  const auto transport =
      MakeCurlTransport({.server = server.url(), .tls_pin = {}, .ca_file = {}}).value();
  const HttpAnswer answer = transport->Do(Get()).value();
  EXPECT_EQ(answer.status, 302);
  EXPECT_EQ(*answer.Header("tlcm-nonce"), "n1");
}

class Collect final : public AnswerSink {
 public:
  base::Status Begin(int status, const Headers&) override {
    begun = status;
    return {};
  }
  base::Status Append(base::ByteView bytes) override {
    text += base::AsText(bytes);
    return {};
  }
  int begun = 0;
  std::string text;
};

TEST(CurlTransport, StreamsALargeAnswerAndBoundsASmallOne) {
  const std::string large(300'000, 'y');
  TinyServer server(false, [&](const std::string&) { return Answer(large); });
  const auto transport =
      MakeCurlTransport({.server = server.url(), .tls_pin = {}, .ca_file = {}}).value();
  Collect sink;
  HttpRequest request = Get();
  request.answer_bytes_max = 1000;
  request.sink = &sink;
  ASSERT_TRUE(transport->Do(request).ok());
  EXPECT_EQ(sink.begun, 200);
  EXPECT_EQ(sink.text, large);
  request.sink = nullptr;
  EXPECT_EQ(transport->Do(request).error().code, ErrorCode::kUnavailable);
}

TEST(CurlTransport, TakesABrokenOffAnswerForNone) {
  TinyServer server(false, [](const std::string&) {
    return std::string("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
  });
  const auto transport =
      MakeCurlTransport({.server = server.url(), .tls_pin = {}, .ca_file = {}}).value();
  EXPECT_EQ(transport->Do(Get()).error().code, ErrorCode::kUnavailable);
}

TEST(CurlTransport, IsQuietOnceCancelled) {
  const auto transport =
      MakeCurlTransport({.server = "http://127.0.0.1:1", .tls_pin = {}, .ca_file = {}}).value();
  EXPECT_EQ(transport->Do(Get()).error().code, ErrorCode::kUnavailable);
  transport->Cancel();
  EXPECT_EQ(transport->Do(Get()).error().message, "stopped");
}

TEST(CurlTransport, AcceptsPlainHttpToThisMachineOnly) {
  EXPECT_TRUE(
      MakeCurlTransport({.server = "http://localhost:80", .tls_pin = {}, .ca_file = {}}).ok());
  EXPECT_FALSE(
      MakeCurlTransport({.server = "http://example.com", .tls_pin = {}, .ca_file = {}}).ok());
  EXPECT_TRUE(MakeCurlTransport({.server = "http://example.com",
                                 .tls_pin = {},
                                 .ca_file = {},
                                 .allow_insecure_http = true})
                  .ok());
  for (const char* server : {"", "example.com", "ftp://x", "https://", "https://a/b", "https://u@a",
                             "http://127.0.0.1@example.com"}) {
    EXPECT_FALSE(MakeCurlTransport({.server = server, .tls_pin = {}, .ca_file = {}}).ok())
        << server;
  }
  EXPECT_FALSE(MakeCurlTransport({.server = "https://a", .tls_pin = "short", .ca_file = {}}).ok());
}

}  // namespace
}  // namespace tinylcm::sync
