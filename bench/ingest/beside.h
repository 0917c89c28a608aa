// Beside: other servers that take an upload, for the reader's eye only: nginx (its WebDAV module's
// PUT) and a FastAPI route. Neither hashes, flushes, verifies or says a receipt.

#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bench {

// A program that serves on loopback until this goes.
class Program {
 public:
  // Waits until the port answers, 20 s at most.
  static std::optional<Program> Start(const std::vector<std::string>& command, std::uint16_t port);
  ~Program();
  Program(Program&& other) noexcept;
  Program& operator=(Program&&) = delete;
  std::uint16_t port() const { return port_; }

 private:
  Program(pid_t pid, std::uint16_t port) : pid_(pid), port_(port) {}
  pid_t pid_;
  std::uint16_t port_;
};

std::uint16_t FreePort();

// nullopt where it is not installed. Both write below `folder`.
std::optional<Program> StartNginx(const std::string& folder);
// `python`: one that has fastapi and uvicorn; "" for none.
std::optional<Program> StartFastApi(const std::string& python, const std::string& folder);

}  // namespace bench
