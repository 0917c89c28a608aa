// PasswordHasher: turns a password into what may be kept, and compares.

#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace tinysphere::access {

// May be used from several threads. Slow and memory-hungry on purpose.
class PasswordHasher {
 public:
  virtual ~PasswordHasher() = default;
  virtual base::Result<std::string> Hash(std::string_view password) = 0;  // "$argon2id$..."
  virtual bool Matches(const std::string& hash, std::string_view password) = 0;
};

}  // namespace tinysphere::access
