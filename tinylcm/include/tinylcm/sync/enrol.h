// Enrolment from the device's side: its key, whom it will trust, and the first talk with the
// server.

#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/crypto.h"
#include "base/file_system.h"
#include "base/result.h"
#include "protocol/enrolment.h"
#include "tinylcm/sync/answer.h"
#include "tinylcm/sync/transport.h"

namespace tinylcm::sync {

// Reads the device key, or makes one that only the owner may read.
base::Result<base::Ed25519Key> LoadOrMakeDeviceKey(base::FileSystem& fs, const std::string& path);

// What is asked for. A device never learns whom to trust from the server it asks.
struct EnrolOptions {
  std::string name;
  std::string agent_version;
  std::string server_fingerprint;
  std::string publisher_fingerprint;
  std::optional<std::string> secret;  // Of a token; without it the device may be pending.
};
EnrolOptions FromToken(const protocol::EnrolmentToken& token);

// What the device knows once it is enrolled; kept in a file.
struct Enrolment {
  std::string device_id;
  std::string name;
  std::string server;   // "https://host:port"
  std::string tls_pin;  // May be empty.
  Trust trust;
  bool is_pending = false;
  std::vector<std::string> formats;  // What the server takes.

  // Whether the server takes archives of this format; tar.gz always.
  bool Takes(std::string_view format) const;
};
base::Status WriteEnrolment(base::FileSystem& fs, const std::string& path,
                            const Enrolment& enrolment);
base::Result<Enrolment> ReadEnrolment(base::FileSystem& fs, const std::string& path);

// Identity first, checked against the fingerprints; only then the secret. May be repeated: the same
// key gets the same answer. kPermissionDenied where the server is another one or says no,
// kUnavailable where nothing signed came back.
base::Result<Enrolment> Enrol(Transport& transport, const base::Ed25519Key& device_key,
                              const EnrolOptions& options);

}  // namespace tinylcm::sync
