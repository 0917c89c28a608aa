#include "bench/ingest/beside.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>
#include <utility>

#include "base/check.h"
#include "base/text.h"

namespace bench {

namespace {

sockaddr_in Loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

bool Answers(std::uint16_t port) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = Loopback(port);
  const bool is_open =
      ::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::close(socket);
  return is_open;
}

}  // namespace

std::uint16_t FreePort() {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = Loopback(0);
  socklen_t length = sizeof address;
  CHECK(::bind(socket, reinterpret_cast<sockaddr*>(&address), length) == 0);
  CHECK(::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length) == 0);
  ::close(socket);
  return ntohs(address.sin_port);
}

std::optional<Program> Program::Start(const std::vector<std::string>& command, std::uint16_t port) {
  const pid_t pid = ::fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    ::dup2(2, 1);  // stdout is for figures.
    std::vector<char*> arguments;
    for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    ::execv(arguments[0], arguments.data());
    ::_exit(127);
  }
  Program program(pid, port);
  for (int i = 0; i < 200; ++i) {
    if (Answers(port)) return program;
    if (::waitpid(pid, nullptr, WNOHANG) == pid) {
      program.pid_ = -1;
      return std::nullopt;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return std::nullopt;
}

Program::Program(Program&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), port_(other.port_) {}

Program::~Program() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGTERM);
  ::waitpid(pid_, nullptr, 0);
}

std::optional<Program> StartNginx(const std::string& folder) {
  const std::string binary = "/usr/sbin/nginx";
  if (!std::filesystem::exists(binary)) return std::nullopt;
  const std::string root = std::filesystem::absolute(folder).string();
  std::filesystem::create_directories(root + "/put");
  // Its workers may be another user.
  std::filesystem::permissions(root + "/put", std::filesystem::perms::all);
  const std::uint16_t port = FreePort();
  const std::string path = root + "/nginx.conf";
  std::ofstream(path) << "daemon off; worker_processes 2; pid " << root
                      << "/nginx.pid; error_log stderr error; "
                      << (::geteuid() == 0 ? "user root; " : "")
                      << "events { worker_connections 1024; }\n"
                      << "http { access_log off; client_max_body_size 64m;\n"
                      << "client_body_temp_path " << root << "/tmp;\n"
                      << "server { listen 127.0.0.1:" << port << "; root " << root
                      << "/put; location / { dav_methods PUT; create_full_put_path on; } } }\n";
  return Program::Start({binary, "-p", root, "-c", path}, port);
}

std::optional<Program> StartFastApi(const std::string& python, const std::string& folder) {
  if (python.empty()) return std::nullopt;
  std::filesystem::create_directories(folder);
  const std::uint16_t port = FreePort();
  return Program::Start({python, "bench/ingest/fastapi_upload.py", std::to_string(port),
                         std::filesystem::absolute(folder).string()},
                        port);
}

}  // namespace bench
