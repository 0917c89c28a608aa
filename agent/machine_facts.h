// MachineFacts: what the operating system says of the machine, for `tinylcm doctor`. What is not
// known is nullopt; a container may hide half of it.

#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace agent {

struct MachineFacts {
  std::optional<std::uint64_t> memory_available = std::nullopt;  // Bytes: MemAvailable.
  std::optional<bool> clock_is_synchronised = std::nullopt;      // As the kernel says (adjtimex).
  std::optional<double> temperature_c = std::nullopt;            // The hottest zone.
  std::optional<bool> throttled = std::nullopt;
  std::optional<bool> throttled_since_boot = std::nullopt;
  std::optional<bool> undervoltage = std::nullopt;
};

// `root` is put before /proc and /sys; for tests.
MachineFacts ReadMachineFacts(const std::string& root = "");

// Where the shell would find a program; nullopt where it would not.
std::optional<std::string> FindProgram(const std::string& program);

}  // namespace agent
