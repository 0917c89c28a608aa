#include "tinylcm/sync/package_maker.h"

#include "base/text.h"

namespace tinylcm::sync {

using base::Result;
using protocol::PackageName;

namespace {

// A clock that shows a time before this program was written was never set.
constexpr base::Time kOldestBelievable{std::chrono::milliseconds(1'767'225'600'000)};  // 2026

}  // namespace

PackageMaker::PackageMaker(PackageQueue& queue, base::Clock& clock,
                           const base::Ed25519Key& device_key, const Options& options)
    : queue_(queue), clock_(clock), key_(device_key), options_(options) {}

Result<PackageName> PackageMaker::Send(std::string_view type, const std::string& bundle,
                                       std::span<const protocol::PackageFile> files) {
  protocol::PackageManifest manifest;
  manifest.type = type;
  manifest.created_at = clock_.Now();
  manifest.clock_trusted = manifest.created_at >= kOldestBelievable;
  manifest.boot = options_.boot;
  manifest.uptime_ms = clock_.Uptime().count();
  manifest.agent_version = options_.agent_version;
  manifest.bundle = bundle;
  {
    const std::scoped_lock lock(mutex_);
    manifest.config_sha256 = options_.config_sha256;
  }
  return queue_.Add(
      {.type = manifest.type, .format = protocol::Name(options_.format), .replaces = {}},
      [&](const PackageName& name) {
        manifest.name = name;
        return protocol::BuildPackage(manifest, files, key_, options_.format);
      });
}

void PackageMaker::SetConfigSha256(const std::string& sha256) {
  const std::scoped_lock lock(mutex_);
  options_.config_sha256 = sha256;
}

Result<PackageName> PackageMaker::MakeAnew(const QueuedPackage& old) {
  ASSIGN_OR_RETURN(const base::Bytes archive, queue_.ReadArchive(old));
  protocol::MemorySource source(archive);
  protocol::MemorySink sink;
  ASSIGN_OR_RETURN(protocol::ReadPackageResult read,
                   protocol::ReadPackage(
                       source, {},
                       [this](const protocol::PackageManifest&) -> Result<base::Ed25519PublicKey> {
                         return key_.public_key();
                       },
                       sink));
  ASSIGN_OR_RETURN(const protocol::ArchiveFormat format, protocol::ParseArchiveFormat(old.format));
  std::vector<protocol::PackageFile> files;
  for (const protocol::NamedFile& file : read.manifest.files) {
    files.push_back({file.path, file.media_type, *sink.Find(file.path)});
  }
  ASSIGN_OR_RETURN(const PackageName name,
                   queue_.Add({.type = old.type, .format = old.format, .replaces = old.name.id()},
                              [&](const PackageName& given) {
                                read.manifest.name = given;
                                return protocol::BuildPackage(read.manifest, files, key_, format);
                              }));
  RETURN_IF_ERROR(queue_.Remove(old));
  return name;
}

}  // namespace tinylcm::sync
