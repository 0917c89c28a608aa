#include "tinylcm/monitor/metrics_socket.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <string_view>

#include "base/text.h"

namespace tinylcm::monitor {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using base::StrCat;

constexpr std::chrono::milliseconds kPatience{200};
constexpr std::size_t kRequestBytesMax = 8192;

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number() const { return number_; }

 private:
  int number_;
};

// Everything up to the empty line; empty where it does not come in time.
std::string ReadRequest(int client) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  std::string request;
  while (request.find("\r\n\r\n") == std::string::npos && request.size() < kRequestBytesMax) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        end - std::chrono::steady_clock::now());
    pollfd wait{.fd = client, .events = POLLIN, .revents = 0};
    if (left.count() <= 0 || ::poll(&wait, 1, static_cast<int>(left.count())) <= 0) return "";
    char part[1024];
    const ssize_t count = ::recv(client, part, sizeof part, 0);
    if (count <= 0) return "";
    request.append(part, static_cast<std::size_t>(count));
  }
  return request;
}

void Send(int client, std::string_view text) {
  const timeval patience{.tv_sec = 0, .tv_usec = 200'000};
  ::setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  while (!text.empty()) {
    const ssize_t count = ::send(client, text.data(), text.size(), MSG_NOSIGNAL);
    if (count <= 0) return;  // It went away, or does not read: its loss.
    text.remove_prefix(static_cast<std::size_t>(count));
  }
}

std::string Answer(std::string_view status, std::string_view body) {
  return StrCat("HTTP/1.1 ", status,
                "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: ",
                body.size(), "\r\nConnection: close\r\n\r\n", body);
}

class UnixMetricsSocket final : public MetricsSocket {
 public:
  explicit UnixMetricsSocket(int listener) : listener_(listener) {}
  ~UnixMetricsSocket() override {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  void Own(const std::string& path) { path_ = path; }

  void Serve(const std::function<std::string()>& text) override {
    const Descriptor client(::accept4(listener_.number(), nullptr, nullptr, SOCK_CLOEXEC));
    if (client.number() < 0) return;
    const std::string request = ReadRequest(client.number());
    if (request.empty()) return;
    Send(client.number(), request.starts_with("GET ") ? Answer("200 OK", text())
                                                      : Answer("405 Method Not Allowed", ""));
  }

 private:
  Descriptor listener_;
  std::string path_;
};

Error Failed(const std::string& path, std::string_view what) {
  return {ErrorCode::kUnavailable, StrCat(path, ": ", what, ": ", std::strerror(errno))};
}

}  // namespace

Result<std::unique_ptr<MetricsSocket>> OpenMetricsSocket(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return Error{ErrorCode::kInvalidArgument, StrCat("'", path, "': a socket's path has 1 to ",
                                                     sizeof address.sun_path - 1, " bytes")};
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  const auto* const where = reinterpret_cast<const sockaddr*>(&address);

  struct stat there{};
  if (::lstat(path.c_str(), &there) == 0) {
    if (!S_ISSOCK(there.st_mode)) {
      return Error{ErrorCode::kConflict, StrCat(path, ": something that is no socket lies there")};
    }
    const Descriptor probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(probe.number(), where, sizeof address) == 0) {
      return Error{ErrorCode::kConflict, StrCat(path, ": somebody listens there already")};
    }
    ::unlink(path.c_str());  // Left by a killed agent.
  }
  const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (listener < 0) return Failed(path, "socket");
  auto opened = std::make_unique<UnixMetricsSocket>(listener);
  // Nobody can connect before listen, so the mode is right before the first client.
  if (::bind(listener, where, sizeof address) != 0) return Failed(path, "bind");
  opened->Own(path);
  if (::chmod(path.c_str(), 0660) != 0) return Failed(path, "chmod");
  if (::listen(listener, 8) != 0) return Failed(path, "listen");
  return std::unique_ptr<MetricsSocket>(std::move(opened));
}

}  // namespace tinylcm::monitor
