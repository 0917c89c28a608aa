#include "bench/ingest/ideal_writer.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string_view>

#include "base/bytes.h"
#include "base/check.h"
#include "base/crypto.h"
#include "base/text.h"

namespace bench {

namespace {

constexpr std::size_t kHeadBytes = 4096;
constexpr std::size_t kBlockBytes = 256 * 1024;
constexpr std::string_view kCreated = "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n";

// How long the body is, by a header that our own client wrote.
std::size_t BodyBytes(std::string_view head) {
  constexpr std::string_view kField = "Content-Length: ";
  const std::size_t at = head.find(kField);
  CHECK(at != std::string_view::npos);
  std::size_t bytes = 0;
  const char* from = head.data() + at + kField.size();
  CHECK(std::from_chars(from, head.data() + head.size(), bytes).ec == std::errc());
  return bytes;
}

}  // namespace

IdealWriter::~IdealWriter() {
  if (listener_ >= 0) ::shutdown(listener_, SHUT_RDWR);
  if (acceptor_.joinable()) acceptor_.join();
  if (listener_ >= 0) ::close(listener_);
}

base::Status IdealWriter::Start() {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (listener_ < 0 || ::bind(listener_, generic, length) != 0 || ::listen(listener_, 4096) != 0 ||
      ::getsockname(listener_, generic, &length) != 0) {
    return base::Error{base::ErrorCode::kUnavailable,
                       base::StrCat("ideal writer: ", std::strerror(errno))};
  }
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { Accept(); });
  return {};
}

void IdealWriter::Accept() {
  for (int number = 0;; ++number) {
    const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (socket < 0) return;
    const int on = 1;
    ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    std::thread([this, socket, number] { Serve(socket, number); }).detach();
  }
}

void IdealWriter::Serve(int socket, int number) {
  base::Bytes block(kBlockBytes);
  base::Bytes head(kHeadBytes);
  for (int count = 0;; ++count) {
    std::size_t filled = 0;
    std::size_t end = std::string_view::npos;
    while (end == std::string_view::npos) {
      const ssize_t got = ::recv(socket, head.data() + filled, head.size() - filled, 0);
      if (got <= 0) {
        ::close(socket);
        return;
      }
      filled += static_cast<std::size_t>(got);
      end = base::AsText(base::ByteView(head).first(filled)).find("\r\n\r\n");
    }
    const std::size_t body = end + 4;
    std::size_t left = BodyBytes(base::AsText(base::ByteView(head).first(body)));
    const std::string path = base::StrCat(folder_, "/", number, "-", count);
    const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    CHECK(file >= 0);
    base::Sha256 hash;
    std::size_t in_block = filled - body;
    std::copy_n(head.begin() + static_cast<std::ptrdiff_t>(body), in_block, block.begin());
    left -= in_block;
    while (in_block > 0 || left > 0) {
      while (left > 0 && in_block < block.size()) {
        const ssize_t got =
            ::recv(socket, block.data() + in_block, std::min(block.size() - in_block, left), 0);
        if (got <= 0) {
          ::close(file);
          ::close(socket);
          return;
        }
        in_block += static_cast<std::size_t>(got);
        left -= static_cast<std::size_t>(got);
      }
      hash.Update(base::ByteView(block).first(in_block));
      CHECK(::write(file, block.data(), in_block) == static_cast<ssize_t>(in_block));
      in_block = 0;
    }
    (void)hash.Finish();
    CHECK(::fdatasync(file) == 0);
    CHECK(::close(file) == 0);
    CHECK(::send(socket, kCreated.data(), kCreated.size(), MSG_NOSIGNAL) ==
          static_cast<ssize_t>(kCreated.size()));
  }
}

}  // namespace bench
