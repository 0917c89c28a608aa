#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/text.h"
#include "tinylcm/location/location.h"

namespace tinylcm::location {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using base::StrCat;

constexpr std::string_view kWatch = "?WATCH={\"enable\":true,\"json\":true};\n";
constexpr std::size_t kReadBytesMax = 64u << 10;  // A call; the rest waits for the next.

Error Over(const std::string& what) { return {ErrorCode::kUnavailable, "gpsd: " + what}; }

class GpsdConnection final : public Connection {
 public:
  explicit GpsdConnection(int socket) : socket_(socket) {}
  ~GpsdConnection() override { ::close(socket_); }
  GpsdConnection(const GpsdConnection&) = delete;
  GpsdConnection& operator=(const GpsdConnection&) = delete;

  Result<std::string> Read() override {
    if (!is_asked_) {
      pollfd wait{.fd = socket_, .events = POLLOUT, .revents = 0};
      if (::poll(&wait, 1, 0) <= 0) return std::string();  // Still connecting.
      int error = 0;
      socklen_t size = sizeof error;
      ::getsockopt(socket_, SOL_SOCKET, SO_ERROR, &error, &size);
      if (error != 0) return Over(std::strerror(error));
      // A new connection's buffer holds these few bytes.
      const ssize_t sent = ::send(socket_, kWatch.data(), kWatch.size(), MSG_NOSIGNAL);
      if (sent != static_cast<ssize_t>(kWatch.size())) return Over("it does not listen");
      is_asked_ = true;
    }
    std::string came;
    char part[4096];
    while (came.size() < kReadBytesMax) {
      const ssize_t count = ::recv(socket_, part, sizeof part, 0);
      if (count > 0) {
        came.append(part, static_cast<std::size_t>(count));
        continue;
      }
      const bool nothing_yet = count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
      if (nothing_yet || errno == EINTR || !came.empty()) break;  // An end is told the next time.
      return Over(count == 0 ? "it hung up" : std::strerror(errno));
    }
    return came;
  }

 private:
  int socket_;
  bool is_asked_ = false;
};

struct Addresses {
  explicit Addresses(addrinfo* found) : first(found) {}
  ~Addresses() { ::freeaddrinfo(first); }
  Addresses(const Addresses&) = delete;
  Addresses& operator=(const Addresses&) = delete;
  addrinfo* first;
};

}  // namespace

Result<Connect> ConnectToGpsd(const std::string& host_and_port) {
  const std::size_t colon = host_and_port.rfind(':');
  std::string host = host_and_port.substr(0, colon);
  const std::string port =
      colon == std::string::npos ? std::string() : host_and_port.substr(colon + 1);
  if (host == "localhost") host = "127.0.0.1";
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  const auto number = base::ParseInt(port);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (!number.ok() || *number < 1 || *number > 65535 ||
      ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found) != 0) {
    return Error{ErrorCode::kInvalidArgument,
                 StrCat("'", host_and_port,
                        "': an address and a port such as 127.0.0.1:2947 are "
                        "asked; names are not looked up")};
  }
  const Addresses addresses(found);
  const std::string address(reinterpret_cast<const char*>(found->ai_addr), found->ai_addrlen);
  const int family = found->ai_family;
  return Connect([address, family]() -> Result<std::unique_ptr<Connection>> {
    const int made = ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (made < 0) return Over(std::strerror(errno));
    auto connection = std::make_unique<GpsdConnection>(made);
    sockaddr_storage where{};
    std::memcpy(&where, address.data(), address.size());
    if (::connect(made, reinterpret_cast<const sockaddr*>(&where),
                  static_cast<socklen_t>(address.size())) != 0 &&
        errno != EINPROGRESS) {
      return Over(std::strerror(errno));
    }
    return std::unique_ptr<Connection>(std::move(connection));
  });
}

}  // namespace tinylcm::location
