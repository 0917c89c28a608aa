// Package: what a device sends. docs/formats/package.md.

#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/result.h"
#include "protocol/archive.h"
#include "protocol/identifiers.h"
#include "protocol/signed_archive.h"

namespace protocol {

inline constexpr std::string_view kPackageFormat = "tinylcm-package/1";
inline constexpr std::string_view kPackageSignaturePrefix = "tinylcm-package/1\n";

// Types; an unknown one is stored and shown, never refused.
inline constexpr std::string_view kTypeMetrics = "metrics";
inline constexpr std::string_view kTypeUpdateReport = "update_report";
inline constexpr std::string_view kTypeAdaptation = "adaptation";
inline constexpr std::string_view kTypeDriftEvent = "drift_event";
inline constexpr std::string_view kTypeSamples = "samples";
inline constexpr std::string_view kTypeModel = "model";
inline constexpr std::string_view kTypeSketches = "sketches";
inline constexpr std::string_view kTypeOperationalLogs = "operational_logs";
inline constexpr std::string_view kTypePredictionImages = "prediction_images";

// 1 is sent first and evicted last, 4 the other way; an unknown type is in 3.
int PackageClass(std::string_view type);

struct PackageManifest {
  PackageName name;
  std::string type;
  base::Time created_at{};
  bool clock_trusted = false;
  std::string boot;  // Random per start of the agent.
  std::int64_t uptime_ms = 0;
  std::string agent_version;
  std::string bundle;         // SHA-256 of the running bundle's manifest; may be empty.
  std::string config_sha256;  // May be empty.
  std::vector<NamedFile> files;

  friend bool operator==(const PackageManifest&, const PackageManifest&) = default;
};

std::string WritePackageManifest(const PackageManifest& manifest);
// kUnsupported for another version of the format, kInvalidArgument naming the field otherwise.
base::Result<PackageManifest> ParsePackageManifest(base::ByteView json);

struct PackageFile {
  std::string path;
  std::string media_type;
  base::Bytes bytes;
};

// Fills in `manifest.files`, signs and packs.
base::Result<base::Bytes> BuildPackage(PackageManifest manifest, std::span<const PackageFile> files,
                                       const base::Ed25519Key& device_key, ArchiveFormat format);

// Says with which key a package must be signed, or why not at all.
using PackageKeyOf =
    std::function<base::Result<base::Ed25519PublicKey>(const PackageManifest& manifest)>;

struct ReadPackageResult {
  PackageManifest manifest;
  base::Bytes manifest_bytes;
  base::Ed25519Signature signature{};
};

// Verifies the signature before the first file is decompressed, then every file.
base::Result<ReadPackageResult> ReadPackage(ByteSource& source, const ArchiveLimits& limits,
                                            const PackageKeyOf& key_of, FileSink& sink);
// Entries 1 and 2 only.
base::Result<ReadPackageResult> ReadPackageManifest(ByteSource& source, const ArchiveLimits& limits,
                                                    const PackageKeyOf& key_of);

}  // namespace protocol
