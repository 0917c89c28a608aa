// Uploads: packages that arrive in pieces, over links that break.
//
// A partial upload is two files below one folder: <package id>.json (what was announced) and
// <package id>.part (what came so far, synced). A piece is appended only where the last one ended,
// one at a time; the digest of the whole decides in the end.

#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/result.h"
#include "tinysphere/http/message.h"
#include "tinysphere/ingest/receiver.h"

namespace tinysphere::ingest {

// Of one device at a time, each of kPackageBytesMax at most; a new one ends the oldest.
inline constexpr std::size_t kUploadsOpenMax = 8;
inline constexpr base::Duration kUploadLife{7LL * 24 * 60 * 60 * 1000};

// May be used from several threads.
class Uploads {
 public:
  // All must outlive it. `folder` must be on the object store's file system.
  Uploads(base::FileSystem& fs, std::string folder, base::Clock& clock, Receiver& receiver)
      : fs_(fs), folder_(std::move(folder)), clock_(clock), receiver_(receiver) {}

  // Makes the folder and sweeps it.
  base::Status Open();
  // Removes what nobody went on with for kUploadLife. Now and then.
  base::Status Sweep();

  base::Result<http::Response> Create(const http::Request& request);
  base::Result<http::Response> Offset(const http::Request& request);
  base::Result<http::Response> Append(http::Request& request);

 private:
  struct Announced {
    std::string device_id;
    std::uint64_t bytes = 0;
    std::string sha256;
  };
  std::string MetaPath(const std::string& package_id) const;
  std::string PartPath(const std::string& package_id) const;
  base::Result<Announced> ReadAnnounced(const std::string& package_id,
                                        const std::string& device_id);
  base::Result<std::uint64_t> BytesSoFar(const std::string& package_id);
  base::Status AppendBody(const std::string& package_id, const http::Body& body);
  void Forget(const std::string& package_id);
  base::Status MakeRoomFor(const std::string& device_id);
  std::mutex& LockFor(const std::string& package_id);

  base::FileSystem& fs_;
  const std::string folder_;
  base::Clock& clock_;
  Receiver& receiver_;
  std::array<std::mutex, 64> locks_;  // By package id; two that share one merely wait.
};

}  // namespace tinysphere::ingest
