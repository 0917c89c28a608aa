#include "tinysphere/platform/sodium/sodium_password_hasher.h"

#include <sodium.h>

#include <semaphore>

#include "base/check.h"

namespace tinysphere::sodium {

namespace {

class SodiumPasswordHasher final : public access::PasswordHasher {
 public:
  SodiumPasswordHasher(Cost cost, int at_once)
      : operations_(cost == Cost::kUsual ? crypto_pwhash_OPSLIMIT_INTERACTIVE
                                         : crypto_pwhash_OPSLIMIT_MIN),
        memory_(cost == Cost::kUsual ? crypto_pwhash_MEMLIMIT_INTERACTIVE
                                     : crypto_pwhash_MEMLIMIT_MIN),
        free_(at_once) {
    CHECK(sodium_init() >= 0);
  }

  base::Result<std::string> Hash(std::string_view password) override {
    char hash[crypto_pwhash_STRBYTES];
    free_.acquire();
    const int result = crypto_pwhash_str_alg(hash, password.data(), password.size(), operations_,
                                             memory_, crypto_pwhash_ALG_ARGON2ID13);
    free_.release();
    if (result != 0) {
      return base::Error{base::ErrorCode::kExhausted, "password: not enough memory to hash it"};
    }
    return std::string(hash);
  }

  bool Matches(const std::string& hash, std::string_view password) override {
    free_.acquire();
    const int result = crypto_pwhash_str_verify(hash.c_str(), password.data(), password.size());
    free_.release();
    return result == 0;
  }

 private:
  unsigned long long operations_;
  std::size_t memory_;
  std::counting_semaphore<64> free_;
};

}  // namespace

std::unique_ptr<access::PasswordHasher> MakePasswordHasher(Cost cost, int at_once) {
  return std::make_unique<SodiumPasswordHasher>(cost, at_once);
}

}  // namespace tinysphere::sodium
