// PackageMaker: puts manifest, signature and files together and hands them to the queue.

#pragma once

#include <mutex>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/result.h"
#include "protocol/package.h"
#include "tinylcm/sync/package_queue.h"

namespace tinylcm::sync {

// May be used from several threads.
class PackageMaker {
 public:
  struct Options {
    std::string agent_version;
    std::string boot;  // Random per start.
    std::string config_sha256;
    protocol::ArchiveFormat format = protocol::ArchiveFormat::kTarGz;
  };

  // References must outlive it.
  PackageMaker(PackageQueue& queue, base::Clock& clock, const base::Ed25519Key& device_key,
               const Options& options);

  // Durable when it returns ok. `bundle`: the running bundle, or empty.
  base::Result<protocol::PackageName> Send(std::string_view type, const std::string& bundle,
                                           std::span<const protocol::PackageFile> files);

  // What manifests say of the configuration from now on.
  void SetConfigSha256(const std::string& sha256);

  // The same package under a new name, after a conflict; the old one is removed once the new one is
  // durable.
  base::Result<protocol::PackageName> MakeAnew(const QueuedPackage& old);

 private:
  PackageQueue& queue_;
  base::Clock& clock_;
  const base::Ed25519Key& key_;
  std::mutex mutex_;
  Options options_;  // Under mutex_: config_sha256.
};

}  // namespace tinylcm::sync
