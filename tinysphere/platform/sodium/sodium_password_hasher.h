// Argon2id through libsodium.

#pragma once

#include <memory>

#include "tinysphere/access/password_hasher.h"

namespace tinysphere::sodium {

// At most `at_once` hashes are computed at a time (64 MiB each at kUsual); others wait.
enum class Cost { kUsual, kLeastForTests };
std::unique_ptr<access::PasswordHasher> MakePasswordHasher(Cost cost = Cost::kUsual,
                                                           int at_once = 2);

}  // namespace tinysphere::sodium
