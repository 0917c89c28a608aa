// base/crypto.h on OpenSSL's EVP interface. A failure inside it (no memory, no randomness) is not
// one a caller could handle, so it is a CHECK.

#include "base/crypto.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <algorithm>
#include <atomic>

#include "base/ed25519_engine.h"

namespace base {
namespace {

// Another engine's, where a program brought one.
std::atomic<decltype(Ed25519Engine::sign)> other_sign{nullptr};
std::atomic<decltype(Ed25519Engine::verify)> other_verify{nullptr};

struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using KeyPointer = std::unique_ptr<EVP_PKEY, FreeKey>;
using ContextPointer = std::unique_ptr<EVP_MD_CTX, FreeContext>;

KeyPointer PrivateKey(const Bytes& seed) {
  KeyPointer key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed.data(), seed.size()));
  CHECK(key != nullptr);
  return key;
}

}  // namespace

struct Sha256::Impl {
  ContextPointer context;
};

Sha256::Sha256() : impl_(std::make_unique<Impl>()) {
  impl_->context.reset(EVP_MD_CTX_new());
  CHECK(impl_->context != nullptr);
  CHECK(EVP_DigestInit_ex(impl_->context.get(), EVP_sha256(), nullptr) == 1);
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::Update(ByteView bytes) {
  CHECK(EVP_DigestUpdate(impl_->context.get(), bytes.data(), bytes.size()) == 1);
}

Sha256Digest Sha256::Finish() {
  Sha256Digest digest;
  unsigned size = 0;
  CHECK(EVP_DigestFinal_ex(impl_->context.get(), digest.data(), &size) == 1);
  CHECK(size == digest.size());
  return digest;
}

Sha256Digest Sha256Of(ByteView bytes) {
  Sha256 sha;
  sha.Update(bytes);
  return sha.Finish();
}

Sha256Digest HmacSha256(ByteView key, ByteView message) {
  Sha256Digest digest;
  unsigned size = 0;
  CHECK(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), message.data(), message.size(),
             digest.data(), &size) != nullptr);
  CHECK(size == digest.size());
  return digest;
}

Ed25519Key Ed25519Key::Generate() {
  Bytes seed = RandomBytes(32);
  Result<Ed25519Key> key = FromSeed(seed);
  OPENSSL_cleanse(seed.data(), seed.size());
  return std::move(key).value();
}

Result<Ed25519Key> Ed25519Key::FromSeed(ByteView seed) {
  if (seed.size() != 32) {
    return Error{ErrorCode::kInvalidArgument, "an Ed25519 private key has 32 bytes"};
  }
  Ed25519Key key;
  key.seed_.assign(seed.begin(), seed.end());
  const KeyPointer native = PrivateKey(key.seed_);
  std::size_t size = key.public_key_.size();
  CHECK(EVP_PKEY_get_raw_public_key(native.get(), key.public_key_.data(), &size) == 1);
  return key;
}

Ed25519Key::~Ed25519Key() {
  if (!seed_.empty()) OPENSSL_cleanse(seed_.data(), seed_.size());
}

Ed25519Key& Ed25519Key::operator=(Ed25519Key&& other) noexcept {
  seed_.swap(other.seed_);  // `other` wipes ours when it goes.
  std::swap(public_key_, other.public_key_);
  return *this;
}

void UseEd25519Engine(const Ed25519Engine& engine) {
  other_sign = engine.sign;
  other_verify = engine.verify;
}

Ed25519Signature Ed25519Key::Sign(ByteView message) const {
  if (const auto sign = other_sign.load()) return sign(seed_, public_key_, message);
  const KeyPointer key = PrivateKey(seed_);
  const ContextPointer context(EVP_MD_CTX_new());
  CHECK(context != nullptr);
  CHECK(EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1);
  Ed25519Signature signature;
  std::size_t size = signature.size();
  CHECK(EVP_DigestSign(context.get(), signature.data(), &size, message.data(), message.size()) ==
        1);
  CHECK(size == signature.size());
  return signature;
}

bool VerifyEd25519(const Ed25519PublicKey& key, ByteView message, ByteView signature) {
  if (signature.size() != 64) return false;
  if (const auto verify = other_verify.load()) return verify(key, message, signature);
  const KeyPointer native(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, key.data(), key.size()));
  if (native == nullptr) return false;
  const ContextPointer context(EVP_MD_CTX_new());
  CHECK(context != nullptr);
  if (EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, native.get()) != 1) {
    return false;
  }
  return EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(),
                          message.size()) == 1;
}

Bytes RandomBytes(std::size_t count) {
  Bytes bytes(count);
  CHECK(RAND_bytes(bytes.data(), static_cast<int>(count)) == 1);
  return bytes;
}

}  // namespace base
