#include "bench/ingest/requests.h"

#include <utility>

#include "base/check.h"
#include "base/random.h"
#include "base/text.h"
#include "protocol/http_signature.h"
#include "protocol/identifiers.h"
#include "protocol/nonce.h"
#include "protocol/package.h"

namespace bench {

base::Ed25519Key DeviceKey(int number) {
  base::Bytes seed(32, 0x5a);
  for (std::size_t i = 0; i < 4; ++i) seed[i] = static_cast<std::uint8_t>(number >> (8 * i));
  return base::Ed25519Key::FromSeed(seed).value();
}

Requests::Requests(ServerFace server, int devices, std::uint64_t seed)
    : server_(std::move(server)), epoch_(base::RandomHex(8)) {
  for (int i = 0; i < devices; ++i) {
    keys_.push_back(DeviceKey(i));
    ids_.push_back(protocol::DeviceIdOf(keys_.back().public_key()));
  }
  base::Random random(seed);
  noise_.resize(4u << 20);
  for (std::uint8_t& byte : noise_) byte = static_cast<std::uint8_t>(random.Below(256));
}

std::vector<Prepared> Requests::Make(int count, std::size_t bytes) {
  std::vector<Prepared> made;
  const base::Time now = base::SystemClock().Now();
  const protocol::NonceIssuer nonces(server_.nonce_key);
  for (int i = 0; i < count; ++i) {
    const std::uint64_t number = next_++;
    const std::size_t who = number % keys_.size();
    protocol::PackageManifest manifest;
    manifest.name = {.device_id = ids_[who], .epoch = epoch_, .seq = number};
    manifest.type = std::string(protocol::kTypePredictionImages);
    manifest.created_at = now;
    manifest.boot = "77ab77ab77ab77ab";
    manifest.agent_version = "1.0.0";
    const std::size_t from = (number * 7919) % (noise_.size() - bytes);
    const auto at = noise_.begin() + static_cast<std::ptrdiff_t>(from);
    const protocol::PackageFile file{
        .path = "images/picture.jpg",
        .media_type = "image/jpeg",
        // Manifest, signature and the archive's own words are some 1,200 bytes.
        .bytes = base::Bytes(at, at + static_cast<std::ptrdiff_t>(bytes - 1200))};
    Prepared prepared;
    prepared.body =
        protocol::BuildPackage(manifest, {&file, 1}, keys_[who], protocol::ArchiveFormat::kTarGz)
            .value();
    protocol::HttpRequestHead head;
    head.method = "PUT";
    head.path = "/api/v1/packages/" + manifest.name.id();
    head.headers = {{"content-digest", protocol::WriteContentDigest(base::Sha256Of(prepared.body))},
                    {"tlcm-audience", server_.fingerprint},
                    {"tlcm-nonce", nonces.Issue(ids_[who], now)}};
    const protocol::SignatureHeaders signature = protocol::SignRequest(head, ids_[who], keys_[who]);
    prepared.head = base::StrCat("PUT ", head.path, " HTTP/1.1\r\nHost: 127.0.0.1\r\n",
                                 "Content-Length: ", prepared.body.size(), "\r\n");
    for (const auto& [name, value] : head.headers) {
      prepared.head += base::StrCat(name, ": ", value, "\r\n");
    }
    prepared.head += base::StrCat("Signature-Input: ", signature.signature_input,
                                  "\r\nSignature: ", signature.signature, "\r\n\r\n");
    made.push_back(std::move(prepared));
  }
  return made;
}

}  // namespace bench
