#include "tests/support/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <mutex>
#include <set>
#include <span>
#include <thread>

#include "base/check.h"
#include "base/text.h"

namespace tests {

namespace {

// One connection, with or without TLS.
class Wire {
 public:
  Wire(int fd, SSL_CTX* context) : fd_(fd) {
    if (context == nullptr) return;
    ssl_ = SSL_new(context);
    SSL_set_fd(ssl_, fd);
    is_open_ = SSL_accept(ssl_) == 1;
  }
  ~Wire() {
    if (ssl_ == nullptr) return;
    if (is_open_) SSL_shutdown(ssl_);
    SSL_free(ssl_);
  }
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  bool is_open() const { return is_open_; }
  long Read(std::span<char> out) {
    return ssl_ != nullptr ? SSL_read(ssl_, out.data(), static_cast<int>(out.size()))
                           : ::recv(fd_, out.data(), out.size(), 0);
  }
  bool Write(const std::string& bytes) {
    std::size_t sent = 0;
    while (sent < bytes.size()) {
      const long n =
          ssl_ != nullptr
              ? SSL_write(ssl_, bytes.data() + sent, static_cast<int>(bytes.size() - sent))
              : ::send(fd_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) return false;
      sent += static_cast<std::size_t>(n);
    }
    return true;
  }

 private:
  int fd_;
  SSL* ssl_ = nullptr;
  bool is_open_ = true;
};

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

// Reads one request; false where the client hung up. Bodies with a Content-Length only.
bool ReadRequest(Wire& wire, std::string& ahead, HttpRequest& request) {
  std::vector<char> buffer(64u << 10);
  const auto more = [&] {
    const long got = wire.Read(buffer);
    if (got <= 0) return false;
    ahead.append(buffer.data(), static_cast<std::size_t>(got));
    return true;
  };
  std::size_t end = 0;
  while ((end = ahead.find("\r\n\r\n")) == std::string::npos) {
    if (!more()) return false;
  }
  const std::string head = ahead.substr(0, end);
  ahead.erase(0, end + 4);
  const std::vector<std::string_view> lines = base::Split(head, '\n');
  const std::vector<std::string_view> first = base::Split(lines[0], ' ');
  CHECK(first.size() == 3);
  request.method = first[0];
  request.target = first[1];
  for (const std::string_view line : std::span(lines).subspan(1)) {
    const std::size_t colon = line.find(':');
    CHECK(colon != std::string_view::npos);
    request.headers[LowerCase(line.substr(0, colon))] = base::Trim(line.substr(colon + 1));
  }
  const auto length = request.headers.find("content-length");
  const std::size_t wanted = length == request.headers.end() ? 0 : std::stoul(length->second);
  while (ahead.size() < wanted) {
    if (!more()) return false;
  }
  request.body = ahead.substr(0, wanted);
  ahead.erase(0, wanted);
  return true;
}

SSL_CTX* MakeContext(const HttpServer::Tls& tls) {
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  BIO* certificate_text =
      BIO_new_mem_buf(tls.certificate_pem.data(), static_cast<int>(tls.certificate_pem.size()));
  BIO* key_text = BIO_new_mem_buf(tls.key_pem.data(), static_cast<int>(tls.key_pem.size()));
  X509* certificate = PEM_read_bio_X509(certificate_text, nullptr, nullptr, nullptr);
  EVP_PKEY* key = PEM_read_bio_PrivateKey(key_text, nullptr, nullptr, nullptr);
  CHECK(SSL_CTX_use_certificate(context, certificate) == 1);
  CHECK(SSL_CTX_use_PrivateKey(context, key) == 1);
  X509_free(certificate);
  EVP_PKEY_free(key);
  BIO_free(certificate_text);
  BIO_free(key_text);
  return context;
}

}  // namespace

struct HttpServer::Impl {
  Handle handle;
  SSL_CTX* context = nullptr;
  int listener = -1;
  std::string url;
  std::atomic<int> connections{0};
  std::mutex mutex;
  std::set<int> open;
  std::vector<std::thread> served;
  std::thread thread;

  void Start() {
    // A client that hangs up is an error here, not the end of the tests.
    static const bool ignores_broken_pipes = std::signal(SIGPIPE, SIG_IGN) != SIG_ERR;
    CHECK(ignores_broken_pipes);
    listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    CHECK(::listen(listener, 64) == 0);
    socklen_t size = sizeof address;
    CHECK(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    url = base::StrCat(context != nullptr ? "https" : "http",
                       "://127.0.0.1:", ntohs(address.sin_port));
    thread = std::thread([this] { Accept(); });
  }

  void Accept() {
    while (true) {
      const int fd = ::accept(listener, nullptr, nullptr);
      if (fd < 0) return;
      const int one = 1;
      ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
      const int number = connections.fetch_add(1);
      const std::lock_guard lock(mutex);
      open.insert(fd);
      served.emplace_back([this, fd, number] { Serve(fd, number); });
    }
  }

  void Serve(int fd, int number) {
    {
      Wire wire(fd, context);
      std::string ahead;
      while (wire.is_open()) {
        HttpRequest request;
        request.connection = number;
        if (!ReadRequest(wire, ahead, request)) break;
        const HttpAnswer answer = handle(request);
        if (!wire.Write(answer.bytes) || answer.closes) break;
      }
    }
    const std::lock_guard lock(mutex);
    open.erase(fd);
    ::close(fd);
  }

  ~Impl() {
    ::shutdown(listener, SHUT_RDWR);
    thread.join();
    ::close(listener);
    {
      const std::lock_guard lock(mutex);
      for (const int fd : open) ::shutdown(fd, SHUT_RDWR);
    }
    for (std::thread& one : served) one.join();
    SSL_CTX_free(context);
  }
};

HttpAnswer HttpAnswer::Of(int status, const std::string& body,
                          const std::vector<std::string>& headers) {
  std::string bytes =
      base::StrCat("HTTP/1.1 ", status, " Answer\r\nContent-Length: ", body.size(), "\r\n");
  for (const std::string& header : headers) bytes += header + "\r\n";
  return {.bytes = bytes + "\r\n" + body, .closes = false};
}

HttpServer::HttpServer(Handle handle) : impl_(std::make_unique<Impl>()) {
  impl_->handle = std::move(handle);
  impl_->Start();
}

HttpServer::HttpServer(Handle handle, const Tls& tls) : impl_(std::make_unique<Impl>()) {
  impl_->handle = std::move(handle);
  impl_->context = MakeContext(tls);
  impl_->Start();
}

HttpServer::~HttpServer() = default;

std::string HttpServer::url() const { return impl_->url; }
int HttpServer::connections() const { return impl_->connections.load(); }

}  // namespace tests
