#include "bench/ingest/client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <string_view>

#include "base/text.h"

namespace bench {

namespace {

using base::Error;
using base::ErrorCode;

double Now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

struct Link {
  int socket = -1;
  const Prepared* request = nullptr;
  std::size_t sent = 0;
  std::string answer;
  std::size_t answer_bytes = 0;  // Once its head is here.
};

class Sender {
 public:
  Sender(const std::vector<Prepared>& requests, int status)
      : requests_(requests), status_(base::StrCat("HTTP/1.1 ", status)) {}
  ~Sender() {
    for (const Link& link : links_) ::close(link.socket);
    if (epoll_ >= 0) ::close(epoll_);
  }

  base::Result<Sent> Run(std::uint16_t port, int connections) {
    RETURN_IF_ERROR(Connect(port, connections));
    const double start = Now();
    for (Link& link : links_) RETURN_IF_ERROR(Begin(link));
    std::array<epoll_event, 64> events{};
    while (answered_ < requests_.size()) {
      const int count =
          ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 30'000);
      if (count == 0) return Error{ErrorCode::kUnavailable, "client: no answer for 30 s"};
      for (int i = 0; i < count; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        Link& link = *static_cast<Link*>(event.data.ptr);
        if ((event.events & EPOLLOUT) != 0) RETURN_IF_ERROR(SendSome(link));
        if ((event.events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) RETURN_IF_ERROR(Receive(link));
      }
    }
    return Sent{.seconds = Now() - start, .first_answer = first_answer_};
  }

 private:
  base::Status Connect(std::uint16_t port, int connections) {
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    links_.resize(static_cast<std::size_t>(connections));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    for (Link& link : links_) {
      link.socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      if (::connect(link.socket, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
        return Error{ErrorCode::kUnavailable,
                     base::StrCat("client: connect: ", std::strerror(errno))};
      }
      const int on = 1;
      ::setsockopt(link.socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      epoll_event event{};
      event.events = EPOLLIN | EPOLLOUT | EPOLLET;
      event.data.ptr = &link;
      ::epoll_ctl(epoll_, EPOLL_CTL_ADD, link.socket, &event);
    }
    return {};
  }

  base::Status Begin(Link& link) {
    if (next_ >= requests_.size()) {
      link.request = nullptr;
      return {};
    }
    link.request = &requests_[next_++];
    link.sent = 0;
    link.answer.clear();
    link.answer_bytes = 0;
    return SendSome(link);
  }

  base::Status SendSome(Link& link) {
    if (link.request == nullptr) return {};
    const std::string& head = link.request->head;
    const base::Bytes& body = link.request->body;
    while (link.sent < head.size() + body.size()) {
      std::array<iovec, 2> parts{};
      std::size_t count = 0;
      if (link.sent < head.size()) {
        parts[count++] = {const_cast<char*>(head.data()) + link.sent, head.size() - link.sent};
      }
      const std::size_t from = link.sent > head.size() ? link.sent - head.size() : 0;
      parts[count++] = {const_cast<std::uint8_t*>(body.data()) + from, body.size() - from};
      msghdr message{};
      message.msg_iov = parts.data();
      message.msg_iovlen = count;
      const ssize_t sent = ::sendmsg(link.socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent < 0) {
        if (errno == EAGAIN) return {};
        return Error{ErrorCode::kUnavailable, base::StrCat("client: send: ", std::strerror(errno))};
      }
      link.sent += static_cast<std::size_t>(sent);
    }
    return {};
  }

  base::Status Receive(Link& link) {
    std::array<char, 8192> buffer;
    for (;;) {
      const ssize_t got = ::recv(link.socket, buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (got < 0 && errno == EAGAIN) return {};
      if (got <= 0) {
        return Error{ErrorCode::kUnavailable, "client: the server closed: " + link.answer};
      }
      link.answer.append(buffer.data(), static_cast<std::size_t>(got));
      if (link.answer_bytes == 0) {
        const std::size_t end = link.answer.find("\r\n\r\n");
        if (end == std::string::npos) continue;
        constexpr std::string_view kField =
            "content-length: ";  // In whatever case, as RFC 9110 5.1.
        std::string head = link.answer.substr(0, end + 2);
        std::ranges::transform(head, head.begin(), [](char c) {
          return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
        });
        const std::size_t at = head.find(kField);
        std::size_t bytes = 0;
        if (at == std::string::npos ||
            std::from_chars(link.answer.data() + at + kField.size(),
                            link.answer.data() + link.answer.size(), bytes)
                    .ec != std::errc()) {
          return Error{ErrorCode::kUnavailable, "client: no Content-Length: " + link.answer};
        }
        link.answer_bytes = end + 4 + bytes;
      }
      if (link.answer.size() < link.answer_bytes) continue;
      if (!link.answer.starts_with(status_)) {
        return Error{ErrorCode::kUnavailable, "client: answered: " + link.answer};
      }
      if (first_answer_.empty()) first_answer_ = link.answer;
      ++answered_;
      return Begin(link);
    }
  }

  const std::vector<Prepared>& requests_;
  const std::string status_;
  int epoll_ = -1;
  std::vector<Link> links_;
  std::size_t next_ = 0;
  std::size_t answered_ = 0;
  std::string first_answer_;
};

}  // namespace

base::Result<Sent> SendAll(std::uint16_t port, int connections,
                           const std::vector<Prepared>& requests, int status) {
  return Sender(requests, status).Run(port, connections);
}

}  // namespace bench
